package recorder

import "github.com/redlane/redlane/internal/escape"

// member does to the value at i what rules want. key and comma say where the member begins.
func (j *jsonRedactor) member(key, comma, i, depth int, what *jsonName) (at int, state jsonState, dropped bool) {
	x, ok := what.do.pick(j.sc.holds)
	switch {
	case !ok && what.inside&j.sc.holds != 0 && i < len(j.src) && j.src[i] == '"':
		at, state = j.inside(i)
	case !ok:
		at, state = j.value(i, depth)
	case x.do == DoDrop:
		if comma >= 0 {
			key = comma
		}
		j.dst = append(j.dst, j.src[j.copied:key]...)
		at, state = j.skip(i, depth)
		j.copied, j.changed, dropped = at, true, true
	default:
		at, state = j.hide(i, depth, x.do)
	}
	return at, state, dropped
}

// skip reads the value at i without looking for anything in it.
func (j *jsonRedactor) skip(i, depth int) (int, jsonState) {
	rules := j.rules
	j.rules = &noJSONRules
	at, state := j.value(i, depth)
	j.rules = rules
	return at, state
}

var noJSONRules jsonRules

// hide puts something of the same kind in the place of the value at i.
func (j *jsonRedactor) hide(i, depth int, do Do) (int, jsonState) {
	if i == len(j.src) {
		return i, ended
	}
	j.dst = append(j.dst, j.src[j.copied:i]...)
	at, state := j.skip(i, depth)
	// If the value is cut or broken, at is where the copy ends, so that nothing of it is kept.
	j.copied, j.changed = at, true
	hash := do == DoHash && state == good // the hash of a part is equal to nothing
	switch c := j.src[i]; {
	case c == '{':
		j.dst = append(j.dst, "{}"...)
	case c == '[':
		j.dst = append(j.dst, "[]"...)
	case c == '-' || '0' <= c && c <= '9':
		if hash {
			j.dst = append(j.dst, j.r.hashNumber(j.sc, j.src[i:at])...)
		} else {
			j.dst = append(j.dst, '0')
		}
	case c == 't' || c == 'f':
		j.dst = append(j.dst, "false"...)
	case c == 'n':
		j.dst = append(j.dst, "null"...)
	case c == '"' && hash:
		j.text = escape.UnquoteJSON(j.text[:0], j.src[i+1:at-1])
		j.dst = append(append(append(j.dst, '"'), j.r.hash(j.sc, j.text)...), '"')
	default:
		j.dst = append(append(append(j.dst, '"'), mask...), '"')
	}
	return at, state
}
