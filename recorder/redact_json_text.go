package recorder

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
)

// maxInside is how many times JSON may stand as text in JSON; what is deeper is masked.
const maxInside = 4

// inside looks into the string at i, whose text may be JSON.
func (j *jsonRedactor) inside(i int) (int, jsonState) {
	at, state := j.string(i)
	if state == broken {
		return at, state
	}
	end := at - 1
	if state == ended {
		end = i + 1 // cut: it says too little to be looked into
	}
	j.text = escape.UnquoteJSON(j.text[:0], j.src[i+1:end])
	t := bytes.TrimLeft(j.text, " \t\r\n")
	if state == good && (len(t) == 0 || t[0] != '{' && t[0] != '[') {
		return at, state
	}
	out, changed := mask, true
	if state == good && j.level < maxInside {
		if j.inner == nil {
			j.inner = new(jsonRedactor)
		}
		in := j.inner
		in.r, in.sc, in.rules, in.level = j.r, j.sc, j.rules, j.level+1
		in.path = append(in.path[:0], j.path...)
		in.base = len(in.path)
		var whole bool
		if out, changed, whole = in.redact(in.out[:0], j.text); !whole {
			out, changed = mask, true
		} else {
			in.out = out
		}
	}
	if !changed {
		return at, state
	}
	j.dst = append(j.dst, j.src[j.copied:i]...)
	j.dst = append(escape.QuoteJSON(append(j.dst, '"'), out), '"')
	j.copied, j.changed = at, true
	return at, state
}

// unquoteLoose is unquote for a string whose escapes may be anything.
func unquoteLoose(dst, raw []byte) []byte {
	for len(raw) > 0 {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 || at+1 == len(raw) {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:at]...)
		n := 2
		if raw[at+1] == 'u' {
			n = 6
			if len(raw) < at+n || !allHex(raw[at+2:at+n]) {
				dst, raw = append(dst, raw[at:at+2]...), raw[at+2:]
				continue
			}
			if len(raw) >= at+12 && raw[at+6] == '\\' && raw[at+7] == 'u' && allHex(raw[at+8:at+12]) {
				n = 12 // perhaps both halves of one rune
			}
		}
		dst, raw = escape.UnquoteJSON(dst, raw[at:at+n]), raw[at+n:]
	}
	return dst
}

func allHex(b []byte) bool {
	for _, c := range b {
		if escape.Unhex(c) < 0 {
			return false
		}
	}
	return true
}
