package recorder

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonRedactor copies JSON and puts masks in the place of named values. It reads every token, so that a
// key cannot hide behind escapes or inside a string. It does not need the text to be whole: a text that
// ends early is copied to its end, with a value cut in the middle masked as well. At the
// first thing that is not JSON the copy ends, because what follows could be anything.
type jsonRedactor struct {
	rules   jsonRules
	src     []byte
	dst     []byte
	copied  int // src up to here is in dst, or masked
	changed bool
	path    []byte // names from the top, dots between, lower case
	key     []byte
}

// jsonRules are names and dotted paths, in lower case.
type jsonRules struct {
	names map[string]struct{}
	paths bool // some have dots
}

func newJSONRules(fields []string) jsonRules {
	r := jsonRules{names: setOf(fields)}
	for n := range r.names {
		r.paths = r.paths || strings.Contains(n, ".")
	}
	return r
}

type jsonState uint8

const (
	good   jsonState = iota
	ended            // the text ends inside
	broken           // not JSON from here
)

// maxJSONDepth bounds the recursion; what is deeper is treated as broken.
const maxJSONDepth = 500

// redact appends src to dst without secrets. whole is false when it had to stop before the end.
func (j *jsonRedactor) redact(dst, src []byte, rules jsonRules) (out []byte, changed, whole bool) {
	*j = jsonRedactor{rules: rules, src: src, dst: dst, path: j.path[:0], key: j.key[:0]}
	i := 0
	if bytes.HasPrefix(src, byteOrderMark) {
		i = len(byteOrderMark)
	}
	state := good
	for state == good { // one value, or many with white space between
		if i = j.space(i); i == len(src) {
			break
		}
		i, state = j.value(i, 0)
	}
	end := len(src)
	if state == broken {
		end = i
	}
	if j.copied < end {
		j.dst = append(j.dst, src[j.copied:end]...)
	}
	j.src, out, j.dst = nil, j.dst, nil
	return out, j.changed, state != broken
}

func (j *jsonRedactor) space(i int) int {
	for i < len(j.src) {
		switch j.src[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

// value reads the value at i and returns the place after it, or of the error.
func (j *jsonRedactor) value(i, depth int) (int, jsonState) {
	if i == len(j.src) {
		return i, ended
	}
	if depth > maxJSONDepth {
		return i, broken
	}
	switch c := j.src[i]; c {
	case '{':
		return j.object(i+1, depth)
	case '[':
		return j.array(i+1, depth)
	case '"':
		return j.text(i)
	}
	return j.scalar(i, depth)
}

func (j *jsonRedactor) array(i, depth int) (int, jsonState) {
	if i = j.space(i); i < len(j.src) && j.src[i] == ']' {
		return i + 1, good
	}
	for {
		at, state := j.value(j.space(i), depth+1)
		if state != good {
			return at, state
		}
		if i = j.space(at); i == len(j.src) {
			return i, ended
		}
		switch j.src[i] {
		case ',':
			i++
		case ']':
			return i + 1, good
		default:
			return i, broken
		}
	}
}

func (j *jsonRedactor) object(i, depth int) (int, jsonState) {
	if i = j.space(i); i < len(j.src) && j.src[i] == '}' {
		return i + 1, good
	}
	base := len(j.path)
	defer func() { j.path = j.path[:base] }()
	for {
		if i = j.space(i); i == len(j.src) {
			return i, ended
		}
		if j.src[i] != '"' {
			return i, broken
		}
		at, state := j.text(i)
		if state != good {
			return at, state
		}
		secret := j.named(j.src[i+1:at-1], base)
		if i = j.space(at); i == len(j.src) {
			return i, ended
		}
		if j.src[i] != ':' {
			return i, broken
		}
		i = j.space(i + 1)
		if secret {
			at, state = j.hide(i, depth+1)
		} else {
			at, state = j.value(i, depth+1)
		}
		if state != good {
			return at, state
		}
		if i = j.space(at); i == len(j.src) {
			return i, ended
		}
		switch j.src[i] {
		case ',':
			i++
		case '}':
			return i + 1, good
		default:
			return i, broken
		}
	}
}

// hide puts a mask of the same kind in the place of the value at i.
func (j *jsonRedactor) hide(i, depth int) (int, jsonState) {
	if i == len(j.src) {
		return i, ended
	}
	j.dst = append(j.dst, j.src[j.copied:i]...)
	rules := j.rules
	j.rules = jsonRules{} // nothing inside needs a mask of its own
	before := len(j.dst)
	j.copied = i
	at, state := j.value(i, depth)
	j.rules = rules
	// If the value is cut or broken, at is where the copy ends, so that nothing of it is kept.
	j.dst, j.copied, j.changed = j.dst[:before], at, true
	switch c := j.src[i]; {
	case c == '{':
		j.dst = append(j.dst, "{}"...)
	case c == '[':
		j.dst = append(j.dst, "[]"...)
	case c == '-' || '0' <= c && c <= '9':
		j.dst = append(j.dst, '0')
	case c == 't' || c == 'f':
		j.dst = append(j.dst, "false"...)
	case c == 'n':
		j.dst = append(j.dst, "null"...)
	default:
		j.dst = append(append(append(j.dst, '"'), mask...), '"')
	}
	return at, state
}

// text reads the string at i. An error is reported at its beginning, so that no part of it is kept.
func (j *jsonRedactor) text(i int) (int, jsonState) {
	for k := i + 1; k < len(j.src); k++ {
		switch c := j.src[k]; {
		case c == '"':
			return k + 1, good
		case c < ' ':
			return i, broken
		case c == '\\':
			k++
			if k == len(j.src) {
				return k, ended
			}
			switch j.src[k] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if k++; k == len(j.src) {
						return k, ended
					}
					if unhex(j.src[k]) < 0 {
						return i, broken
					}
				}
			default:
				return i, broken
			}
		}
	}
	return len(j.src), ended
}

// scalar reads a number or a bare word.
func (j *jsonRedactor) scalar(i, depth int) (int, jsonState) {
	k := i
	for k < len(j.src) {
		c := lowerByte(j.src[k])
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			break
		}
		k++
	}
	switch {
	case k == i:
		return i, broken
	case k == len(j.src) && depth > 0:
		return k, ended
	}
	return k, good
}

// named notes the key, raw between its quotes, under the path of length base, and reports whether a rule
// names it.
func (j *jsonRedactor) named(raw []byte, base int) bool {
	j.key = unquote(j.key[:0], raw)
	if !j.rules.paths {
		_, ok := j.rules.names[string(j.key)]
		return ok
	}
	j.path = j.path[:base]
	if base > 0 {
		j.path = append(j.path, '.')
	}
	j.path = append(j.path, j.key...)
	if _, ok := j.rules.names[string(j.key)]; ok {
		return true
	}
	_, ok := j.rules.names[string(j.path)]
	return ok
}

// unquote appends the text of a JSON string, whose escapes are known to be good, in lower case.
func unquote(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch raw[i] {
		case 'u':
			r := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				if both := utf16.DecodeRune(r, hex4(raw[i+3:])); both != utf8.RuneError {
					r = both
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r) // a lone surrogate becomes U+FFFD, which no rule holds
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		default:
			dst = append(dst, raw[i])
		}
	}
	return fold(dst)
}

func hex4(b []byte) (r rune) {
	for _, h := range b[:4] {
		r = r<<4 | rune(unhex(h))
	}
	return r
}
