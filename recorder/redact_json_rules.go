package recorder

import (
	"maps"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/escape"
)

// jsonRules are what rules say of names and dotted paths, in lower case.
type jsonRules struct {
	names     map[string]*jsonName
	paths     bool   // some have dots
	lengths   uint64 // how long keys are that rules name, 63 and more as 63: most others need no look into the map
	everyText uint64 // conditions under which every string may be JSON itself
}

// A jsonName is what rules say of one name or path.
type jsonName struct {
	do     choices
	inside uint64   // conditions under which its text is JSON itself
	judged []uint16 // conditions that look at its value, by their number
}

func newJSONRules() jsonRules { return jsonRules{names: map[string]*jsonName{}} }

func (r *jsonRules) at(name string) *jsonName {
	name = strings.ToLower(name)
	r.paths = r.paths || strings.Contains(name, ".")
	for end := name; ; { // a path may end in a key with dots
		r.lengths |= 1 << min(len(end), 63)
		dot := strings.IndexByte(end, '.')
		if dot < 0 {
			break
		}
		end = end[dot+1:]
	}
	if r.names[name] == nil {
		r.names[name] = new(jsonName)
	}
	return r.names[name]
}

func (r *jsonRules) add(fields []string, x choice) {
	for _, f := range fields {
		n := r.at(f)
		n.do = n.do.with(x)
	}
}

func (r *jsonRules) inside(fields []string, bit uint8) {
	for _, f := range fields {
		if f == "*" {
			r.everyText |= 1 << bit
		} else {
			r.at(f).inside |= 1 << bit
		}
	}
}

func (r *jsonRules) judge(field string, number int) {
	n := r.at(field)
	n.judged = append(n.judged, uint16(number))
}

// settle gives paths what is said of the names they end in, so that one look is enough.
func (r *jsonRules) settle() {
	for _, path := range slices.Sorted(maps.Keys(r.names)) {
		for rest := path; ; {
			dot := strings.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if name := r.names[rest]; name != nil {
				into := r.names[path]
				for _, x := range name.do {
					into.do = into.do.with(x)
				}
				into.inside |= name.inside
				into.judged = append(into.judged, name.judged...)
			}
		}
	}
}

// named notes the key, raw between its quotes, under the path of length base, and returns what rules say of
// it, or nil.
func (j *jsonRedactor) named(raw []byte, base int) *jsonName {
	j.key = fold(escape.UnquoteJSON(j.key[:0], raw))
	rare := j.rules.lengths>>min(len(j.key), 63)&1 != 0
	if !j.rules.paths {
		if !rare {
			return nil
		}
		return j.rules.names[string(j.key)]
	}
	j.path = j.path[:base]
	if base > 0 {
		j.path = append(j.path, '.')
	}
	j.path = append(j.path, j.key...)
	if !rare {
		return nil
	}
	what, path := j.rules.names[string(j.key)], j.rules.names[string(j.path)]
	if path != nil {
		return path // with what the name alone asks for, see settle
	}
	return what
}

// consider judges the value at i.
func (j *jsonRedactor) consider(i, depth int, what *jsonName) (int, jsonState) {
	at, state := j.value(i, depth)
	for _, n := range what.judged {
		v := &j.sc.judging[n]
		switch {
		case i == len(j.src), state != good, j.src[i] == '{', j.src[i] == '[':
			v.unsure = true
			continue
		case j.src[i] == '"':
			j.sc.word = fold(escape.UnquoteJSON(j.sc.word[:0], j.src[i+1:at-1]))
		default:
			j.sc.word = fold(append(j.sc.word[:0], j.src[i:at]...))
		}
		v.found = true
		v.holds = v.holds || j.r.judged.whens[n].test(j.sc.word)
	}
	return at, state
}
