package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// A When is a condition on a request. All its parts must hold. What cannot be judged holds: a body that
// cannot be read may well be that of a user who must not be kept.
type When struct {
	Services []string `yaml:"service"` // called services
	Lanes    []string `yaml:"lane"`    // lanes that served, "baseline" for the baseline
	Methods  []string `yaml:"method"`
	Paths    []string `yaml:"path"` // beginnings of the path, %-escapes decoded

	// At most one of these names a value of the request; without In, NotIn and Prefix it must be there. JSON is a
	// name or path as in Redaction.JSON.
	Header string   `yaml:"header"`
	Query  string   `yaml:"query"`
	Cookie string   `yaml:"cookie"`
	JSON   string   `yaml:"json"`
	In     []string `yaml:"in"`     // the value is one of these, case ignored
	NotIn  []string `yaml:"not_in"` // the value is none of these, or absent
	Prefix []string `yaml:"prefix"` // the value begins with one of these
}

func (w *When) check() error {
	named := 0
	for _, n := range []string{w.Header, w.Query, w.Cookie, w.JSON} {
		if n != "" {
			named++
		}
	}
	tests := 0
	for _, t := range [][]string{w.In, w.NotIn, w.Prefix} {
		if len(t) > 0 {
			tests++
		}
	}
	switch {
	case named > 1:
		return errors.New("want at most one of header, query, cookie and json; write a list of conditions for more")
	case tests > 1:
		return errors.New("want at most one of in, not_in and prefix")
	case tests > 0 && named == 0:
		return errors.New("in, not_in and prefix test a value: name a header, query, cookie or json")
	case named == 0 && len(w.Services)+len(w.Lanes)+len(w.Methods)+len(w.Paths) == 0:
		return errors.New("the condition says nothing")
	}
	for _, l := range w.Lanes {
		if l != "baseline" && !traffic.Color(l).Valid() {
			return fmt.Errorf("%q is no lane (a-z, 0-9 and inner hyphens)", l)
		}
	}
	return nil
}

func (w *When) String() string {
	var parts []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			parts = append(parts, what+" "+strings.Join(values, ","))
		}
	}
	add("service", w.Services)
	add("lane", w.Lanes)
	add("method", w.Methods)
	add("path", w.Paths)
	for _, v := range [][2]string{{"header", w.Header}, {"query", w.Query}, {"cookie", w.Cookie}, {"json", w.JSON}} {
		if v[1] != "" {
			parts = append(parts, v[0]+" "+v[1])
		}
	}
	add("in", w.In)
	add("not in", w.NotIn)
	add("prefix", w.Prefix)
	return strings.Join(parts, " ")
}

// A condition is the When of one rule, ready to be judged.
type condition struct {
	bit   uint8
	whens []When
	json  []uint16 // per When: its number among the values looked for in bodies
}

// judge finds out which conditions hold.
func (r *redactor) judge(sc *scratch) (holds uint64) {
	holds = 1
	if r.judged.n > 0 {
		r.judgeBody(sc)
	}
	for i := range r.conditions {
		c := &r.conditions[i]
		all := true
		for k := range c.whens {
			w := &c.whens[k]
			if w.JSON != "" {
				all = all && w.place(&sc.x, &sc.key) && sc.verdicts[c.json[k]]
			} else {
				all = all && w.place(&sc.x, &sc.key) && w.value(sc)
			}
			if !all {
				break
			}
		}
		if all {
			holds |= 1 << c.bit
		}
	}
	return holds
}

// place judges what is not a value.
func (w *When) place(x *traffic.Exchange, mem *[]byte) bool {
	if len(w.Services) > 0 && !slices.Contains(w.Services, x.Dst) ||
		len(w.Lanes) > 0 && !slices.Contains(w.Lanes, x.Lane.Name()) {
		return false
	}
	if len(w.Methods) > 0 && !slices.ContainsFunc(w.Methods, func(m string) bool { return string(x.Request.Method) == m }) {
		return false
	}
	if len(w.Paths) == 0 {
		return true
	}
	path := pathOf(x.Request.Target)
	if bytes.IndexByte(path, '%') >= 0 {
		*mem = escape.UnescapeURL((*mem)[:0], path, false)
		path = *mem
	}
	for _, p := range w.Paths {
		if len(path) >= len(p) && string(path[:len(p)]) == p {
			return true
		}
	}
	return false
}

// pathOf is the path of a target, in either form.
func pathOf(target []byte) []byte {
	if end := bytes.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	if at := bytes.Index(target, []byte("://")); at > 0 && target[0] != '/' {
		target = target[at+3:]
		if slash := bytes.IndexByte(target, '/'); slash >= 0 {
			return target[slash:]
		}
		return nil
	}
	return target
}

// value judges a header, query or cookie value. Of several with the name, one that holds is enough.
func (w *When) value(sc *scratch) bool {
	found := false
	try := func(v []byte) bool {
		found = true
		sc.word = fold(append(sc.word[:0], v...))
		return w.test(sc.word)
	}
	m := &sc.x.Request
	switch {
	case w.Header != "":
		for i := range m.Headers {
			if traffic.EqualFold(m.Headers[i].Name, w.Header) && try(bytes.TrimSpace(m.Headers[i].Value)) {
				return true
			}
		}
	case w.Cookie != "":
		for i := range m.Headers {
			if !traffic.EqualFold(m.Headers[i].Name, "cookie") {
				continue
			}
			for rest := m.Headers[i].Value; len(rest) > 0; {
				var one []byte
				one, rest, _ = bytes.Cut(rest, []byte(";"))
				name, v, _ := bytes.Cut(one, []byte("="))
				if traffic.EqualFold(bytes.TrimSpace(name), w.Cookie) && try(bytes.Trim(bytes.TrimSpace(v), `"`)) {
					return true
				}
			}
		}
	case w.Query != "":
		_, rest, _ := bytes.Cut(m.Target, []byte("?"))
		for len(rest) > 0 {
			end := bytes.IndexAny(rest, "&;")
			if end < 0 {
				end = len(rest)
			}
			name, v, _ := bytes.Cut(rest[:end], []byte("="))
			rest = rest[min(end+1, len(rest)):]
			sc.key = fold(escape.UnescapeURL(sc.key[:0], name, true))
			if string(sc.key) == w.Query {
				sc.key = escape.UnescapeURL(sc.key[:0], v, true)
				if try(sc.key) {
					return true
				}
			}
		}
	default:
		return true
	}
	return !found && len(w.NotIn) > 0
}

// test is told a value that is there, in lower case.
func (w *When) test(v []byte) bool {
	is := func(s string) bool { return string(v) == s }
	switch {
	case len(w.In) > 0:
		return slices.ContainsFunc(w.In, is)
	case len(w.NotIn) > 0:
		return !slices.ContainsFunc(w.NotIn, is)
	case len(w.Prefix) > 0:
		return slices.ContainsFunc(w.Prefix, func(s string) bool { return len(v) >= len(s) && string(v[:len(s)]) == s })
	}
	return true
}

// A judgement is what a body says about one condition.
type judgement struct{ found, holds, unsure bool }

// judgeBody looks for the values that conditions name in the JSON of the request.
func (r *redactor) judgeBody(sc *scratch) {
	sc.judging = append(sc.judging[:0], make([]judgement, r.judged.n)...)
	sc.verdicts = append(sc.verdicts[:0], make([]bool, r.judged.n)...)
	m := &sc.x.Request
	unsure := sc.x.Flags.Has(traffic.FlagRequestCut)
	if len(m.Body) > 0 {
		switch o := r.open(sc, m, 0, traffic.FlagRequestCut); {
		case o.closed:
			unsure = true
		case o.kind == jsonBody:
			j := &sc.json
			j.r, j.sc, j.rules, j.judging, j.src, j.base, j.path = r, sc, &r.judged.rules, true, o.body, 0, j.path[:0]
			_, state := j.walk()
			j.judging, j.src = false, nil
			unsure = unsure || state != good || o.cut
		}
	}
	for i, v := range sc.judging {
		sc.verdicts[i] = v.holds || v.unsure || unsure || !v.found && len(r.judged.whens[i].NotIn) > 0
	}
}
