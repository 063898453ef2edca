package recorder

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// A Rule names secrets and says what becomes of them.
type Rule struct {
	conf.Pos `yaml:"-"`

	Name string `yaml:"name"` // for people; may be empty
	When []When `yaml:"-"`    // all must hold; none: always. It is judged by the request and holds for its response
	Do   Do     `yaml:"do"`   // mask, hash or drop

	Headers []string `yaml:"headers"` // header and trailer lines
	Cookies []string `yaml:"cookies"` // of Cookie and Set-Cookie; the other cookies are then masked one by one
	Query   []string `yaml:"query"`   // as Redaction.Query
	Form    []string `yaml:"form"`    // fields of urlencoded and multipart bodies
	JSON    []string `yaml:"json"`    // as Redaction.JSON
	Inside  []string `yaml:"inside"`  // JSON fields whose text is JSON that this and other rules look into; * is every text
	Match   []string `yaml:"match"`   // regular expressions (RE2); the first group is the secret, without one the whole match
	Where   []string `yaml:"where"`   // where Match looks: body, headers, url; none means all
	Body    []string `yaml:"body"`    // request, response: the whole body, only with drop
}

// Do is what happens to a secret.
type Do uint8

// In the order of strength.
const (
	DoMask Do = iota // replaced by Mask; numbers by 0, true by false, lists and objects by empty ones
	DoHash           // replaced by 32 hex digits of HMAC-SHA256 with the key, numbers by one: equal stays equal
	DoDrop           // taken out: the line, the parameter, the field, the body
	numDo
)

var doNames = [numDo]string{"mask", "hash", "drop"}

func (d Do) String() string { return doNames[d] }

// UnmarshalText reads the word.
func (d *Do) UnmarshalText(text []byte) error {
	for i, name := range doNames {
		if string(text) == name {
			*d = Do(i)
			return nil
		}
	}
	return fmt.Errorf("want mask, hash or drop, found %q%s", text, conf.DidYouMean(string(text), doNames[:]))
}

// strength orders what rules want done with the same thing.
func (d Do) strength() int { return [numDo]int{DoHash: 0, DoMask: 1, DoDrop: 2}[d] }

var (
	wherePlaces = []string{"body", "headers", "url"}
	bodyPlaces  = []string{"request", "response"}
)

func (r *Rule) check() error {
	n := len(r.Body)
	for _, names := range [][]string{r.Headers, r.Cookies, r.Query, r.Form, r.JSON, r.Inside, r.Match} {
		if slices.Contains(names, "") {
			return errors.New("a redaction rule without a name")
		}
		n += len(names)
	}
	switch {
	case n == 0:
		return errors.New("the rule names nothing (want headers, cookies, query, form, json, inside, match or body)")
	case len(r.Body) > 0 && r.Do != DoDrop:
		return fmt.Errorf("body: a whole body can only be dropped; say do: drop")
	case len(r.Where) > 0 && len(r.Match) == 0:
		return errors.New("where: says where match looks, and there is no match")
	}
	for _, list := range []struct {
		key         string
		words, want []string
	}{{"where", r.Where, wherePlaces}, {"body", r.Body, bodyPlaces}} {
		for _, w := range list.words {
			if !slices.Contains(list.want, w) {
				return fmt.Errorf("%s: want %s, found %q%s", list.key, strings.Join(list.want, ", "), w, conf.DidYouMean(w, list.want))
			}
		}
	}
	for _, m := range r.Match {
		re, err := regexp.Compile(m)
		if err != nil {
			return fmt.Errorf("match: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		if re.MatchString("") {
			return fmt.Errorf("match: %q matches nothing at all, and so everywhere", m)
		}
	}
	for i := range r.When {
		if err := r.When[i].check(); err != nil {
			return fmt.Errorf("when: %w", err)
		}
	}
	return nil
}

func (r *Rule) errorf(format string, args ...any) error {
	if r.Name != "" {
		return r.Errorf("%s: %w", r.Name, fmt.Errorf(format, args...))
	}
	return r.Errorf(format, args...)
}

// readsBodies reports whether bodies have to be looked into for the rule.
func (r *Rule) readsBodies() bool {
	return len(r.Query)+len(r.Form)+len(r.JSON)+len(r.Inside) > 0 || len(r.Match) > 0 && r.looks("body")
}

func (r *Rule) looks(where string) bool { return len(r.Where) == 0 || slices.Contains(r.Where, where) }

// lines are the rule for people, a thing a line.
func (r *Rule) lines() (out []string) {
	var head, tail string
	if len(r.When) > 0 {
		parts := make([]string, len(r.When))
		for i := range r.When {
			parts[i] = r.When[i].String()
		}
		head = "when " + strings.Join(parts, " and ") + ": "
	}
	if r.Do != DoMask {
		tail = ": " + r.Do.String()
	}
	add := func(kind string, names []string, lower bool) {
		for _, n := range names {
			if lower {
				n = strings.ToLower(n)
			}
			out = append(out, head+kind+" "+n+tail)
		}
	}
	add("header", r.Headers, true)
	add("cookie", r.Cookies, true)
	add("query", r.Query, true)
	add("form", r.Form, true)
	add("json", r.JSON, true)
	add("json inside", r.Inside, true)
	add("match", r.Match, false)
	add("body", r.Body, true)
	return out
}
