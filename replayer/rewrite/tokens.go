package rewrite

// What a byte does to a text: it belongs to a token, or it ends tokens of a level.
const (
	inToken  = iota
	atDot    // ends the shortest: a.b
	atSign   // ends those of URLs and pairs: a/b, a=b, a:b
	atBorder // ends all
)

var borders = func() (t [256]uint8) {
	for c := range t {
		switch b := byte(c); {
		case kindOf(b) != other, b == '-', b == '_', b == '~', b == '%', b >= 0x80:
		case b == '.':
			t[c] = atDot
		case b == '/', b == '=', b == ':', b == '@', b == '|', b == '+', b == '&', b == '?', b == '#', b == '!', b == '*', b == '$':
			t[c] = atSign
		default:
			t[c] = atBorder
		}
	}
	return t
}()

// tokens replaces the strong values in src[from:to]: the longest tokens first, and what they consist of
// only where they are not known. It looks each token up by its hash, so the number of learned values costs
// nothing.
//
//	id=8f3a9c2e41d07b65.v1, 77
//	└─────────────────────┘       to the borders
//	   └──────────────────┘       behind the first =
//	   └──────────────────┘       to the signs
//	   └──────────────┘           to the dots
func (q *subst) tokens(from, to int) {
	for i := from; i < to; {
		level := uint8(inToken)
		start := i
		for i < to {
			b := borders[q.src[i]]
			if b == atBorder {
				break
			}
			level = max(level, b)
			i++
		}
		if i-start >= minStrong {
			q.token(start, i, level)
		}
		i++
	}
}

// token looks up src[from:to], and then its parts. level is the highest border in it.
func (q *subst) token(from, to int, level uint8) {
	if e := q.find(q.src[from:to], 0, 0); e != nil {
		q.put(from, to, e)
		return
	}
	if level == inToken {
		return
	}
	if level == atSign {
		for i := from; i+minStrong < to; i++ {
			if q.src[i] == '=' {
				if e := q.find(q.src[i+1:to], 0, 0); e != nil {
					q.parts(from, i, level)
					q.put(i+1, to, e)
					return
				}
				break
			}
		}
	}
	q.parts(from, to, level)
}

// parts looks up what borders of this level divide.
func (q *subst) parts(from, to int, level uint8) {
	for i := from; i < to; {
		inside := uint8(inToken)
		start := i
		for i < to {
			b := borders[q.src[i]]
			if b >= level {
				break
			}
			inside = max(inside, b)
			i++
		}
		if i-start >= minStrong {
			q.token(start, i, inside)
		}
		i++
	}
}
