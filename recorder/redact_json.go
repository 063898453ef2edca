package recorder

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
)

// A jsonRedactor copies JSON and puts something else in the place of named values. It reads every token, so
// that a key cannot hide behind escapes or inside a string. It does not need the text to be whole: a text that
// ends early is copied to its end, with a value cut in the middle masked as well. At the
// first thing that is not JSON the copy ends, because what follows could be anything.
type jsonRedactor struct {
	r       *redactor // what makes hashes
	sc      *scratch
	rules   *jsonRules
	judging bool // conditions are judged and nothing is copied
	src     []byte
	dst     []byte
	copied  int // src up to here is in dst, or masked
	changed bool
	path    []byte // names from the top, dots between, lower case
	base    int    // of path, where the text stands inside another
	out     []byte // memory for what an inner one makes
	key     []byte
	text    []byte        // the text of a string, decoded
	inner   *jsonRedactor // for JSON inside strings
	level   int           // how many strings it is inside of
}

// redact appends src to dst without secrets. whole is false when it had to stop before the end.
func (j *jsonRedactor) redact(dst, src []byte) (out []byte, changed, whole bool) {
	j.src, j.dst, j.copied, j.changed, j.path = src, dst, 0, false, j.path[:j.base]
	end, state := j.walk()
	if j.copied < end {
		j.dst = append(j.dst, src[j.copied:end]...)
	}
	j.src, out, j.dst = nil, j.dst, nil
	return out, j.changed, state != broken
}

// walk reads one value, or many with white space between, and returns where it ended.
func (j *jsonRedactor) walk() (end int, state jsonState) {
	i := 0
	if bytes.HasPrefix(j.src, byteOrderMark) {
		i = len(byteOrderMark)
	}
	for state == good {
		if i = j.space(i); i == len(j.src) {
			return i, good
		}
		i, state = j.value(i, 0)
	}
	if state == ended {
		i = len(j.src)
	}
	return i, state
}

type jsonState uint8

const (
	good   jsonState = iota
	ended            // the text ends inside
	broken           // not JSON from here
)

// maxJSONDepth bounds the recursion; what is deeper is treated as broken.
const maxJSONDepth = 500

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
		if j.rules.everyText != 0 && j.rules.everyText&j.sc.holds != 0 {
			return j.inside(i)
		}
		return j.string(i)
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
	base, comma := len(j.path), -1 // the comma before the member, if one before it was kept
	defer func() { j.path = j.path[:base] }()
	for {
		if i = j.space(i); i == len(j.src) {
			return i, ended
		}
		if j.src[i] != '"' {
			return i, broken
		}
		key := i
		at, state := j.string(i)
		if state != good {
			return at, state
		}
		what := j.named(j.src[i+1:at-1], base)
		if i = j.space(at); i == len(j.src) {
			return i, ended
		}
		if j.src[i] != ':' {
			return i, broken
		}
		i = j.space(i + 1)
		dropped := false
		switch {
		case what == nil:
			at, state = j.value(i, depth+1)
		case j.judging:
			at, state = j.consider(i, depth+1, what)
		default:
			at, state, dropped = j.member(key, comma, i, depth+1, what)
		}
		if state != good {
			return at, state
		}
		if i = j.space(at); i == len(j.src) {
			return i, ended
		}
		switch j.src[i] {
		case ',':
			if dropped && comma < 0 {
				j.copied = i + 1 // the next member is the first
			} else if !dropped {
				comma = i
			}
			i++
		case '}':
			return i + 1, good
		default:
			return i, broken
		}
	}
}

// string reads the string at i. An error is reported at its beginning, so that no part of it is kept.
func (j *jsonRedactor) string(i int) (int, jsonState) {
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
					if escape.Unhex(j.src[k]) < 0 {
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
