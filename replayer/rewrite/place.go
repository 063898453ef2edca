package rewrite

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/redlane/redlane/internal/conf"
)

// A Place is where in a message a value stands.
//
//	header x-user-id
//	cookie uid
//	query user
//	form user           a field of an urlencoded body
//	json user           members of this name, at any depth
//	json $.user.ids[0]  one value; a list without an index counts for nothing
//	path /users/*       the segment at the *, of paths that begin so
type Place struct {
	kind     placeKind
	name     string
	anywhere bool // json: at any depth
	steps    []step
	pattern  []string // path: segments
}

type placeKind uint8

const (
	nowhere placeKind = iota
	atHeader
	atCookie
	atQuery
	atForm
	atJSON
	atPath
)

var placeWords = []string{"", "header", "cookie", "query", "form", "json", "path"}

// A step is one name, or one index, on the way to a JSON value.
type step struct {
	name  string
	index int32 // of a list when name is empty; -1 is all
}

// ParsePlace reads a place: a word and a name.
func ParsePlace(text string) (Place, error) {
	word, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	for kind := atHeader; kind <= atPath; kind++ {
		if placeWords[kind] == word {
			return newPlace(kind, strings.TrimSpace(name))
		}
	}
	return Place{}, fmt.Errorf("want a place such as %q or %q, found %q%s", "header x-user-id", "json $.user", text, conf.DidYouMean(word, placeWords[1:]))
}

func newPlace(kind placeKind, name string) (p Place, err error) {
	p = Place{kind: kind, name: name}
	switch {
	case name == "":
		return p, fmt.Errorf("%s: want a name", placeWords[kind])
	case kind == atJSON:
		return p, p.parseJSON()
	case kind == atPath:
		p.pattern = strings.Split(strings.Trim(name, "/"), "/")
		if n := strings.Count(name, "*"); n != 1 || !strings.HasPrefix(name, "/") {
			return p, fmt.Errorf("path %q: want a path with one * where the value is, such as /users/*", name)
		}
	case kind == atHeader && kindOfHeader([]byte(name)) == headerSkip && isFraming(name):
		return p, fmt.Errorf("header %q says where the message ends and cannot be changed", name)
	}
	return p, nil
}

func isFraming(name string) bool {
	return strings.EqualFold(name, "content-length") || strings.EqualFold(name, "transfer-encoding")
}

func (p *Place) parseJSON() error {
	rest, top := strings.CutPrefix(p.name, "$")
	if top {
		rest = strings.TrimPrefix(rest, ".")
	}
	p.anywhere = !top && !strings.ContainsAny(rest, ".[")
	for part := range strings.SplitSeq(rest, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if name != "" {
			p.steps = append(p.steps, step{name: name})
		} else if !indexed {
			return fmt.Errorf("json %q: want a path such as $.user.ids[0]", p.name)
		}
		for indexed {
			number, more, closed := strings.Cut(index, "]")
			n, err := strconv.ParseInt(number, 10, 32)
			if number == "*" {
				n, err = -1, nil
			}
			if !closed || err != nil || n < -1 {
				return fmt.Errorf("json %q: want a number or * in the brackets", p.name)
			}
			p.steps = append(p.steps, step{index: int32(n)})
			if more != "" && more[0] != '[' {
				return fmt.Errorf("json %q: want a dot after the brackets", p.name)
			}
			index, indexed = strings.CutPrefix(more, "[")
		}
	}
	return nil
}

// UnmarshalText reads a place.
func (p *Place) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlace(string(text))
	return err
}

// String is the place as it is written.
func (p Place) String() string { return placeWords[p.kind] + " " + p.name }

// matches reports whether w stands at the value that p names.
func (p *Place) matches(w *jsonWalk) bool {
	if p.anywhere {
		key, _ := w.names()
		return string(key) == p.name
	}
	i := 0
	for at := range w.frames {
		f := &w.frames[at]
		switch {
		case f.list && (i == len(p.steps) || p.steps[i].name != ""):
			continue // counts for nothing
		case i == len(p.steps):
			return false
		case f.list:
			if want := p.steps[i].index; want >= 0 && want != f.index {
				return false
			}
		case string(f.name) != p.steps[i].name:
			return false
		}
		i++
	}
	return i == len(p.steps)
}

// segment finds the segment that p names in a path.
func (p *Place) segment(path []byte) (from, to int, ok bool) {
	rest, at := path, 0
	for _, want := range p.pattern {
		if len(rest) == 0 || rest[0] != '/' {
			return 0, 0, false
		}
		rest, at = rest[1:], at+1
		n := bytes.IndexByte(rest, '/')
		if n < 0 {
			n = len(rest)
		}
		if want == "*" {
			from, to, ok = at, at+n, n > 0
		} else if string(rest[:n]) != want {
			return 0, 0, false
		}
		rest, at = rest[n:], at+n
	}
	return from, to, ok
}
