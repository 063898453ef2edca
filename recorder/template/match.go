package template

import "bytes"

// A Pattern is one template, for those who only ask whether a request has it. It never changes, so that many may
// ask at once, and asking allocates nothing.
type Pattern struct {
	text  string
	parts []part
	rest  bool // {name...} takes all that follows
}

// A part is what stands between two slashes of a Pattern.
type part struct {
	name string
	any  bool // {name}, or the * of a template that was learned
}

// Compile reads a configured pattern, such as /packets/{id} or /files/{path...}, or a template that a Table has
// learned, such as /users/*/orders.
func Compile(pattern string) (*Pattern, error) {
	if err := new(patternNode).add(pattern); err != nil {
		return nil, err
	}
	p := &Pattern{text: pattern}
	for _, s := range bytes.Split([]byte(pattern[1:]), []byte{'/'}) {
		switch {
		case bytes.HasSuffix(s, []byte("...}")):
			p.rest = true
		case len(s) > 0 && s[0] == '{' || string(s) == "*":
			p.parts = append(p.parts, part{any: true})
		default:
			p.parts = append(p.parts, part{name: string(s)})
		}
	}
	return p, nil
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Match reports whether target, as it was sent, has the template. What follows ? or # is left out.
func (p *Pattern) Match(target []byte) bool {
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if len(target) == 0 || target[0] != '/' {
		return false
	}
	rest, more := target[1:], true
	for _, part := range p.parts {
		if !more {
			return false
		}
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		if part.any && len(segment) == 0 || !part.any && string(segment) != part.name {
			return false
		}
	}
	return more == p.rest
}
