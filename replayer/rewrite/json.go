package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
)

// A jsonWalk goes through the strings and numbers of a JSON text in the order they stand, and knows where
// each is. It judges nothing: what is not JSON ends the walk, and what came before has been seen.
type jsonWalk struct {
	src    []byte
	frames []jsonFrame // of the objects and lists that are open
	key    []byte      // memory for a key that has escapes
}

// A jsonFrame is one object or list on the way to the value.
type jsonFrame struct {
	place uint64 // of the container
	name  []byte // the key of the member being read, as it is written; nil in a list
	list  bool
	index int32 // of the member being read, in a list
}

// A jsonValue is a string or a number. Its text is src[from:to], without the quotes.
type jsonValue struct {
	from, to int
	number   bool
	escaped  bool // a string with escapes in it
}

// maxJSONDepth bounds what is followed; deeper values are not looked at.
const maxJSONDepth = 64

// walk calls leaf for each value and reports whether src was JSON to its end. src is not held.
func (w *jsonWalk) walk(src []byte, leaf func(v jsonValue)) (whole bool) {
	w.src, w.frames = src, w.frames[:0]
	end, ok := w.value(w.space(0), leaf)
	whole = ok && w.space(end) == len(src)
	w.src = nil
	return whole
}

func (w *jsonWalk) space(i int) int {
	for i < len(w.src) && w.src[i] <= ' ' {
		i++
	}
	return i
}

func (w *jsonWalk) value(i int, leaf func(jsonValue)) (end int, ok bool) {
	if i >= len(w.src) || len(w.frames) > maxJSONDepth {
		return i, false
	}
	switch c := w.src[i]; {
	case c == '{':
		return w.object(i+1, leaf)
	case c == '[':
		return w.list(i+1, leaf)
	case c == '"':
		v, end, ok := w.text(i)
		if ok {
			leaf(v)
		}
		return end, ok
	case c == '-' || '0' <= c && c <= '9':
		for end = i + 1; end < len(w.src) && numberByte(w.src[end]); end++ {
		}
		leaf(jsonValue{from: i, to: end, number: true})
		return end, true
	case c == 't' || c == 'f' || c == 'n':
		for end = i + 1; end < len(w.src) && 'a' <= w.src[end] && w.src[end] <= 'z'; end++ {
		}
		return end, true
	}
	return i, false
}

func numberByte(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// text reads the string whose quote is at i. What is in it is not judged but for escapes.
func (w *jsonWalk) text(i int) (v jsonValue, end int, ok bool) {
	v.from = i + 1
	n := bytes.IndexByte(w.src[v.from:], '"')
	if n < 0 {
		return v, len(w.src), false
	}
	v.to = v.from + n
	if at := bytes.IndexByte(w.src[v.from:v.to], '\\'); at < 0 {
		return v, v.to + 1, true
	}
	v.escaped = true
	for k := v.from; k < len(w.src); k++ {
		switch w.src[k] {
		case '"':
			v.to = k
			return v, k + 1, true
		case '\\':
			if k++; k < len(w.src) && !w.escape(&k) {
				return v, k, false
			}
		}
	}
	return v, len(w.src), false
}

// escape moves k to the end of the escape whose letter is at *k, if it is one.
func (w *jsonWalk) escape(k *int) bool {
	switch w.src[*k] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if *k++; *k >= len(w.src) || escape.Unhex(w.src[*k]) < 0 {
				return false
			}
		}
		return true
	}
	return false
}

func (w *jsonWalk) object(i int, leaf func(jsonValue)) (end int, ok bool) {
	w.open(false)
	at := len(w.frames) - 1
	defer func() { w.frames = w.frames[:at] }()
	if i = w.space(i); i < len(w.src) && w.src[i] == '}' {
		return i + 1, true
	}
	for {
		if i >= len(w.src) || w.src[i] != '"' {
			return i, false
		}
		key, next, ok := w.text(i)
		if !ok {
			return next, false
		}
		w.frames[at].name = w.src[key.from:key.to]
		if i = w.space(next); i >= len(w.src) || w.src[i] != ':' {
			return i, false
		}
		if i, ok = w.value(w.space(i+1), leaf); !ok {
			return i, false
		}
		if i = w.space(i); i >= len(w.src) {
			return i, false
		}
		switch w.src[i] {
		case ',':
			i = w.space(i + 1)
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func (w *jsonWalk) list(i int, leaf func(jsonValue)) (end int, ok bool) {
	w.open(true)
	at := len(w.frames) - 1
	defer func() { w.frames = w.frames[:at] }()
	if i = w.space(i); i < len(w.src) && w.src[i] == ']' {
		return i + 1, true
	}
	for {
		var ok bool
		if i, ok = w.value(w.space(i), leaf); !ok {
			return i, false
		}
		w.frames[at].index++
		if i = w.space(i); i >= len(w.src) {
			return i, false
		}
		switch w.src[i] {
		case ',':
			i++
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// open adds a frame. Its place follows from that of the member it is: the element of the outermost list is
// left open in it, because lists come in another order or length.
func (w *jsonWalk) open(list bool) {
	place, _, _ := w.place()
	w.frames = append(w.frames, jsonFrame{place: place, list: list})
}

// place is where the value being read is: the hash of the way to it, with the element of the outermost list
// left open; which list that is, 0 for none; and which element.
func (w *jsonWalk) place() (place, list uint64, element int32) {
	if len(w.frames) == 0 {
		return placeJSON, 0, 0
	}
	top := &w.frames[len(w.frames)-1]
	for i := range w.frames {
		if f := &w.frames[i]; f.list {
			list, element = f.place|1, f.index
			if i == len(w.frames)-1 {
				return mix(top.place ^ placeElement), list, element
			}
			break
		}
	}
	if top.list {
		return mix(top.place ^ placeElement ^ uint64(top.index+1)), list, element
	}
	return mix(top.place ^ hash(top.name)), list, element
}

// names are the key the value stands under, lists between left out, and the key of the object that has it.
func (w *jsonWalk) names() (key, parent []byte) {
	for i := len(w.frames) - 1; i >= 0; i-- {
		if f := &w.frames[i]; !f.list {
			if key == nil {
				key = f.name
			} else {
				return key, f.name
			}
		}
	}
	return key, nil
}

// text of v, decoded; valid until the next call where it has escapes.
func (w *jsonWalk) decoded(src []byte, v jsonValue) []byte {
	if !v.escaped {
		return src[v.from:v.to]
	}
	w.key = escape.UnquoteJSON(w.key[:0], src[v.from:v.to])
	return w.key
}
