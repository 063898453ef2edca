package http1

import (
	"encoding/binary"
	"math/bits"
)

// Bits of class.
const (
	isToken  = 1 << iota // RFC 9110 §5.6.2
	isHost               // RFC 3986 reg-name, without "," which is how two joined Host lines look
	isTarget             // anything but controls, space and "#"
	isText               // field values and reasons: no controls but HTAB
	isDigit
)

// class tells what a byte may be part of. One table, 256 bytes, so that it stays in the first cache level.
var class = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = isToken | isHost | isDigit
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			t[c] = isToken | isHost
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= isTarget
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= isText
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= isToken
	}
	for _, c := range []byte("-._~%!$&'()*+;=") {
		t[c] |= isHost
	}
	return t
}()

// all reports whether every byte of b has the bit.
func all(b []byte, bit uint8) bool {
	for _, c := range b {
		if class[c]&bit == 0 {
			return false
		}
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// below marks the bytes of w that are less than n, n <= 0x80, in their highest bit. A borrow can mark bytes
// above a marked one wrongly, so only the lowest mark is exact, which is the one that is used.
func below(w uint64, n byte) uint64 { return (w - ones*uint64(n)) & ^w & highs }

// controls marks the control bytes of w in their highest bit.
func controls(w uint64) uint64 {
	low := w & (ones * 0x7f) // no carry crosses a byte
	return ^(low+ones*(0x80-' ')) & ^w & highs | (low+ones) & ^w & highs
}

// textEnd is nextControl that goes on after a tab: the end of a field value or a reason.
func textEnd(b []byte, i int) int {
	i = nextControl(b, i)
	for i < len(b) && b[i] == '\t' {
		i = nextControl(b, i+1)
	}
	return i
}

// tokenEnd returns the place of the first byte of b at or after i that is not part of a token, or len(b).
func tokenEnd(b []byte, i int) int {
	for k, c := range b[i:] {
		if class[c]&isToken == 0 {
			return i + k
		}
	}
	return len(b)
}

// nextControl returns the place of the first control byte of b at or after i, or len(b). Eight bytes at a
// time: one pass finds the end of the line and proves the value clean.
func nextControl(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := controls(w); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	if over := 8 - (len(b) - i); len(b) >= 8 && over < 8 { // the last word once more, without what was seen
		if m := controls(binary.LittleEndian.Uint64(b[len(b)-8:])) >> (8 * over); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		return len(b)
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == 0x7f {
			return i
		}
	}
	return i
}

// nextNonTarget returns the place of the first byte of b at or after i that may not be part of a target,
// or len(b).
func nextNonTarget(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := below(w, ' '+1) | below(w^(ones*0x7f), 1) | below(w^(ones*'#'), 1); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isTarget == 0 {
			return i
		}
	}
	return i
}

// trim removes spaces and tabs from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b[:len(b):len(b)]
}

// nextItem splits the first item off a comma separated list.
func nextItem(list []byte) (item, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// foldIs compares b with s, both of the same length, 8 to 16, in two overlapping words. Setting bit 0x20 is
// exact as long as s is lower-case letters and "-" and b holds no control bytes but HTAB. A third of the
// time of traffic.EqualFold.
func foldIs(b []byte, s string) bool {
	n := len(s)
	return binary.LittleEndian.Uint64(b)|ones*' ' == word(s) && binary.LittleEndian.Uint64(b[n-8:])|ones*' ' == word(s[n-8:])
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
