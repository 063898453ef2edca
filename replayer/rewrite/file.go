package rewrite

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// A File holds the rules that people write (docs/rewriting.md). The zero File changes nothing.
type File struct {
	conf.Pos `yaml:"-"`

	Extract     []Extract   `yaml:"extract"`     // values of answers, kept under a name
	Replace     []Replace   `yaml:"replace"`     // values of requests
	Remove      []string    `yaml:"remove"`      // headers of requests
	Identity    []Place     `yaml:"identity"`    // names that each clone has of its own
	First       string      `yaml:"first"`       // whether the first clone keeps its names: original (the default) or mapped
	Mark        string      `yaml:"mark"`        // in every name made from a text; redlane
	Idempotency []string    `yaml:"idempotency"` // headers besides Idempotency-Key and X-Idempotency-Key
	Shift       []Place     `yaml:"shift"`       // times that move by (now - recorded), and with them the Date header
	Sign        []Signature `yaml:"sign"`        // made anew, in this order, when all else is done
}

// When selects requests. The zero When selects all.
type When struct {
	Method []string `yaml:"method"`
	Path   string   `yaml:"path"` // its beginning
}

func (w *When) holds(method, target []byte) bool {
	if len(target) < len(w.Path) || string(target[:len(w.Path)]) != w.Path {
		return false
	}
	return len(w.Method) == 0 || slices.Contains(w.Method, string(method))
}

// An Extract keeps a value of the answers to some requests, for ${name}.
type Extract struct {
	conf.Pos `yaml:"-"`

	Name   string `yaml:"name"`
	When   When   `yaml:"when"`
	Header string `yaml:"header"`
	JSON   string `yaml:"json"`
	Regex  string `yaml:"regex"` // of the body (RE2); the first group, or all of the match

	place Place
	regex *regexp.Regexp
}

// A Replace puts a value into some requests.
type Replace struct {
	conf.Pos `yaml:"-"`

	When   When   `yaml:"when"`
	Header string `yaml:"header"` // added where it is missing; everything else is replaced where it is
	Cookie string `yaml:"cookie"`
	Query  string `yaml:"query"`
	Form   string `yaml:"form"`
	JSON   string `yaml:"json"`
	Path   string `yaml:"path"` // a segment, the * of /orders/*
	Value  string `yaml:"value"`

	place    Place
	template template
}

// maxRules bounds the extract rules: which of them want an answer is one word.
const maxRules = 64

// Parse reads rules from data, the content of the file called name. getenv is asked for keys that are in
// the environment. The error is one line with file and line number.
func Parse(name string, data []byte, getenv func(string) string) (*File, error) {
	f := new(File)
	err := conf.Decode(name, data, f)
	if err == nil {
		err = f.compile(getenv)
	}
	if err != nil && strings.Contains(err.Error(), "\n") { // of a text that it shows
		err = errors.New(strings.ReplaceAll(err.Error(), "\n", `\n`))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) compile(getenv func(string) string) error {
	if len(f.Extract) > maxRules {
		return f.Errorf("extract: %d rules; at most %d", len(f.Extract), maxRules)
	}
	var names []string
	for i := range f.Extract {
		e := &f.Extract[i]
		if err := e.compile(); err != nil {
			return e.Errorf("%w", err)
		}
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	for i := range f.Replace {
		r := &f.Replace[i]
		if err := r.compile(names); err != nil {
			return r.Errorf("%w", err)
		}
	}
	for _, list := range [][]string{f.Remove, f.Idempotency} {
		for _, h := range list {
			if _, err := newPlace(atHeader, h); err != nil {
				return f.Errorf("%w", err)
			}
		}
	}
	if f.First != "" && f.First != "original" && f.First != "mapped" {
		return f.Errorf("first: want original or mapped, found %q%s", f.First, conf.DidYouMean(f.First, []string{"original", "mapped"}))
	}
	for _, c := range []byte(f.Mark) {
		if kindOf(c) == other {
			return f.Errorf("mark: want letters and digits, found %q", f.Mark)
		}
	}
	if f.Mark != "" && kindOf(f.Mark[len(f.Mark)-1]) == digit {
		return f.Errorf("mark: %q ends with a digit; the number of the clone follows it", f.Mark)
	}
	for i := range f.Sign {
		if err := f.Sign[i].compile(names, getenv); err != nil {
			return f.Sign[i].Errorf("%w", err)
		}
	}
	return nil
}

// one makes the place that one of several keys names.
func one(names [7]string) (p Place, err error) {
	for kind, name := range names {
		if name == "" {
			continue
		}
		if p.kind != nowhere {
			return p, fmt.Errorf("%s and %s at once; want one place", placeWords[p.kind], placeWords[kind])
		}
		if p, err = newPlace(placeKind(kind), name); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (e *Extract) compile() (err error) {
	if !isVariable(e.Name) {
		return fmt.Errorf("name: want letters, digits and _, found %q", e.Name)
	}
	if slices.Contains(words, e.Name) {
		return fmt.Errorf("name: ${%s} means something already", e.Name)
	}
	if e.place, err = one([7]string{atHeader: e.Header, atJSON: e.JSON}); err != nil {
		return err
	}
	if (e.place.kind == nowhere) == (e.Regex == "") {
		return errors.New("want header, json or regex, and one of them")
	}
	if e.Regex != "" {
		if e.regex, err = regexp.Compile(e.Regex); err != nil {
			return fmt.Errorf("regex: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
	}
	return nil
}

func (r *Replace) compile(names []string) (err error) {
	r.place, err = one([7]string{
		atHeader: r.Header, atCookie: r.Cookie, atQuery: r.Query, atForm: r.Form, atJSON: r.JSON, atPath: r.Path,
	})
	if err != nil {
		return err
	}
	if r.place.kind == nowhere {
		return errors.New("want header, cookie, query, form, json or path")
	}
	if r.template, err = parseTemplate(r.Value, names, false); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	return nil
}

func isVariable(name string) bool {
	for _, c := range []byte(name) {
		if kindOf(c) == other && c != '_' {
			return false
		}
	}
	return name != ""
}
