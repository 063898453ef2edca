package recorder

import (
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/redlane/redlane/traffic"
)

// A choice is what a rule wants done, while its condition holds. Bit 0 always holds.
type choice struct {
	bit uint8
	do  Do
	own bool // one of our defaults: any rule goes before it
}

// choices are those for one name, the strongest first.
type choices []choice

func (c choices) pick(holds uint64) (choice, bool) {
	for _, x := range c {
		if holds>>x.bit&1 != 0 {
			return x, true
		}
	}
	return choice{}, false
}

func (c choices) with(x choice) choices {
	c = append(c, x)
	slices.SortStableFunc(c, func(a, b choice) int {
		switch {
		case a.own != b.own && a.own:
			return 1
		case a.own != b.own:
			return -1
		}
		return b.do.strength() - a.do.strength()
	})
	return c
}

// names are choices by name in lower case.
type names map[string]choices

func (n names) add(list []string, x choice) {
	for _, name := range lowerAll(list) {
		n[name] = n[name].with(x)
	}
}

// A redactor applies the rules. It is shared; what it needs for one exchange is in a scratch.
type redactor struct {
	conditions []condition
	judged     struct { // the values that conditions look for in JSON bodies
		n     int
		rules jsonRules
		whens []*When
	}

	headers  headerTable
	cookies  names
	query    names
	form     names // query's too
	json     jsonRules
	patterns []pattern
	whole    [2]choices // of bodies, request and response

	// Which conditions make which part of an exchange worth a look.
	onCookies, onURLs, onForms, onJSON, onBodies, onHeaderText, onURLText, onBodyText uint64

	key         []byte
	decodeLimit int
	keepEncoded bool

	hidden   atomic.Uint64 // bodies dropped because they could not be looked into
	redacted atomic.Uint64 // exchanges that lost something
}

// newRedactor expects rules that have been checked.
func newRedactor(c *Redaction) *redactor {
	r := &redactor{
		keepEncoded: c.KeepEncoded, key: slices.Clone(c.Key), decodeLimit: int(c.DecodeLimit),
		cookies: names{}, query: names{}, form: names{}, json: newJSONRules(), judged: struct {
			n     int
			rules jsonRules
			whens []*When
		}{rules: newJSONRules()},
	}
	if r.decodeLimit == 0 {
		r.decodeLimit = 4 << 20
	}
	if !c.NoDefaults {
		for _, h := range secretHeaders {
			r.headers.at(h).do = choices{{own: true}}
		}
	}
	rules := c.all()
	for i := range rules {
		r.add(&rules[i])
	}
	if r.onURLs|r.onURLText != 0 {
		for _, h := range urlHeaders {
			r.headers.at(h).url = true
		}
	}
	if r.onCookies != 0 {
		r.headers.at("cookie").cookies = requestCookies
		r.headers.at("set-cookie").cookies = responseCookie
	}
	r.json.settle()
	r.judged.rules.settle()
	r.onBodies = r.onJSON | r.onForms | r.onBodyText
	for _, w := range r.whole {
		for _, x := range w {
			r.onBodies |= 1 << x.bit
		}
	}
	return r
}

func (r *redactor) add(rule *Rule) {
	x := choice{do: rule.Do}
	if len(rule.When) > 0 {
		x.bit = uint8(len(r.conditions) + 1)
		r.conditions = append(r.conditions, r.condition(x.bit, rule.When))
	}
	on := func(place *uint64, n int) {
		if n > 0 {
			*place |= 1 << x.bit
		}
	}
	for _, h := range lowerAll(rule.Headers) {
		e := r.headers.at(h)
		e.do = e.do.with(x)
	}
	r.cookies.add(rule.Cookies, x)
	on(&r.onCookies, len(rule.Cookies))
	r.query.add(rule.Query, x)
	on(&r.onURLs, len(rule.Query))
	r.form.add(rule.Query, x)
	r.form.add(rule.Form, x)
	on(&r.onForms, len(rule.Query)+len(rule.Form))
	r.json.add(rule.JSON, x)
	r.json.inside(rule.Inside, x.bit)
	on(&r.onJSON, len(rule.JSON)+len(rule.Inside))
	for i, place := range bodyPlaces {
		if slices.Contains(rule.Body, place) {
			r.whole[i] = r.whole[i].with(x)
		}
	}
	for _, m := range rule.Match {
		p := newPattern(regexp.MustCompile(m), x)
		p.body, p.headers, p.url = rule.looks("body"), rule.looks("headers"), rule.looks("url")
		r.patterns = append(r.patterns, p)
	}
	if len(rule.Match) > 0 {
		for where, place := range map[string]*uint64{"body": &r.onBodyText, "headers": &r.onHeaderText, "url": &r.onURLText} {
			if rule.looks(where) {
				on(place, 1)
			}
		}
	}
}

// condition readies whens: everything that is compared with case ignored becomes lower case.
func (r *redactor) condition(bit uint8, whens []When) condition {
	c := condition{bit: bit, whens: slices.Clone(whens), json: make([]uint16, len(whens))}
	for i := range c.whens {
		w := &c.whens[i]
		w.In, w.NotIn, w.Prefix, w.Query = lowerAll(w.In), lowerAll(w.NotIn), lowerAll(w.Prefix), strings.ToLower(w.Query)
		if w.JSON != "" {
			c.json[i] = uint16(r.judged.n)
			r.judged.rules.judge(w.JSON, r.judged.n)
			r.judged.whens = append(r.judged.whens, w)
			r.judged.n++
		}
	}
	return c
}

// A headerRule is what is done with the lines of one name.
type headerRule struct {
	name    string
	do      choices
	cookies uint8 // requestCookies, responseCookie or 0
	url     bool  // it holds a URL
}

const (
	requestCookies uint8 = 1 + iota
	responseCookie
)

// A headerTable finds rules by name. Names are told apart by their length first, so that a line that no rule
// names costs next to nothing.
type headerTable [48][]headerRule

func (t *headerTable) find(name []byte) *headerRule {
	list := t[len(name)%len(t)]
	for i := range list {
		if n := list[i].name; traffic.EqualFold(name, n) {
			return &list[i]
		}
	}
	return nil
}

func (t *headerTable) at(name string) *headerRule {
	list := &t[len(name)%len(t)]
	for i := range *list {
		if (*list)[i].name == name {
			return &(*list)[i]
		}
	}
	*list = append(*list, headerRule{name: name})
	return &(*list)[len(*list)-1]
}
