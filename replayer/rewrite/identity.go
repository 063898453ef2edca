package rewrite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"strconv"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// An identity is somebody's name. Each clone of a session has its own, made from the recorded one: the same
// name always becomes the same, and no two become one.
//
//	alice                                  alice-redlane3
//	alice@example.com                      alice+redlane3@example.com
//	1042                                   4000000000052103    for 50 clones: 4·10^15 + 1042·50 + 3
//	3fa85f64-5717-4562-b3fc-2c963f66afa6   a UUID of version 8, which nobody else makes
//	5f8d0d55b54764421b7156c3               as many hexadecimal digits
//
// Texts carry the mark, numbers lie where nobody counts to, UUIDs are of a version of our own: none of them
// is a name that production has. Hexadecimal names are as far from production's as two of those are from
// each other.
type identity struct {
	mark   string
	clones uint64
	seed   uint64
}

// defaultMark is in every name that was made from a text.
const defaultMark = "redlane"

const (
	firstNumber = 4e15 // made numbers lie from here to 9e15, which a float64 holds exactly
	numbers     = 5e15
)

// appendName appends the name of clone's own v.
func (d *identity) appendName(dst, v []byte, clone int) []byte {
	k := uint64(clone)
	switch {
	case isNumber(v) && v[0] != '-':
		return d.number(dst, v, k)
	case isUUID(v):
		return d.uuid(dst, v, k)
	case isHex(v):
		return d.hex(dst, v, k)
	}
	if at := bytes.LastIndexByte(v, '@'); at > 0 {
		dst = append(append(dst, v[:at]...), '+')
		dst = strconv.AppendUint(append(dst, d.mark...), k, 10)
		return append(dst, v[at:]...)
	}
	dst = append(append(dst, v...), '-')
	return strconv.AppendUint(append(dst, d.mark...), k, 10)
}

// number keeps small numbers exact in a float64. Larger ones get digits, a 9 before and the clone after.
func (d *identity) number(dst, v []byte, k uint64) []byte {
	if n, err := strconv.ParseUint(string(v), 10, 64); err == nil && n < numbers/d.clones {
		return strconv.AppendUint(dst, firstNumber+n*d.clones+k, 10)
	}
	dst = append(append(dst, '9'), v...)
	width := len(strconv.FormatUint(d.clones-1, 10))
	for w := len(strconv.FormatUint(k, 10)); w < width; w++ {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, k, 10)
}

func isUUID(v []byte) bool {
	if len(v) != 36 {
		return false
	}
	for i, c := range v {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHexDigit(c) {
				return false
			}
		}
	}
	return true
}

func isHexDigit(c byte) bool {
	return kindOf(c) == digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// uuid permutes the 122 bits that are not version and variant. The old version and variant are in the key.
func (d *identity) uuid(dst, v []byte, k uint64) []byte {
	var b [16]byte
	for i, at := 0, 0; i < len(b); i++ {
		if v[at] == '-' {
			at++
		}
		_, _ = hex.Decode(b[i:i+1], v[at:at+2]) // they are digits
		at += 2
	}
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	old := hi>>12&0xf<<2 | lo>>62
	const mask61 = 1<<61 - 1
	left := hi>>16<<12 | hi&0xfff // 60 bits, and one from lo
	left = left<<1 | lo>>61&1
	right := lo & mask61
	for round := range uint64(4) {
		left, right = right, left^mix(right^mix(d.seed+k<<8+round)^old<<56)&mask61
	}
	hi = left>>1>>12<<16 | left>>1&0xfff
	lo = left&1<<61 | right
	return chance.AppendUUID(dst, hi, lo)
}

// isHex reports whether v is a random name in hexadecimal digits of one case.
func isHex(v []byte) bool {
	if len(v) < 16 || len(v)%2 != 0 || len(v) > 128 {
		return false
	}
	var lows, highs bool
	for _, c := range v {
		if !isHexDigit(c) {
			return false
		}
		lows, highs = lows || kindOf(c) == small, highs || kindOf(c) == capital
	}
	return lows != highs
}

// hex permutes the digits: a Feistel network over two halves. Case stays.
func (d *identity) hex(dst, v []byte, k uint64) []byte {
	const digits, capitals = "0123456789abcdef", "0123456789ABCDEF"
	set := digits
	for _, c := range v {
		if kindOf(c) == capital {
			set = capitals
		}
	}
	half := len(v) / 2
	var buf [128]byte
	left, right := buf[:half], buf[64:64+half]
	for i := range half {
		left[i], right[i] = nibble(v[i]), nibble(v[half+i])
	}
	for round := range uint64(4) {
		key := mix(d.seed + k<<8 + round)
		h := mix(hash(right) ^ key)
		for i := range left {
			if i%16 == 0 {
				h = mix(h + bits.RotateLeft64(key, i))
			}
			left[i] ^= byte(h>>(i%16*4)) & 15
		}
		left, right = right, left
	}
	for _, n := range left {
		dst = append(dst, set[n])
	}
	for _, n := range right {
		dst = append(dst, set[n])
	}
	return dst
}

func nibble(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// identify gives m.message the names and idempotency keys of its clone.
func (m *Memory) identify(c *Carry) (changed bool) {
	r := m.rules
	if !r.mapped(c.clone) {
		return false
	}
	name := func(dst, old []byte) ([]byte, bool) {
		if len(old) == 0 {
			return dst, false
		}
		return r.identity.appendName(dst, old, c.clone), true
	}
	for i := range r.file.Identity {
		changed = m.edit(&r.file.Identity[i], name) || changed
	}
	if c.keyed {
		for i := range m.message.Headers {
			if h := &m.message.Headers[i]; r.isKey(h.Name) {
				if v, ok := m.changed(h.Value, name); ok {
					h.Value, changed = v, true
				}
			}
		}
	}
	return changed
}

// mapped reports whether a clone has names of its own.
func (r *Rules) mapped(clone int) bool { return clone > 0 || r.file.First == "mapped" }

// isKey reports whether a header holds a key under which a service does a thing once.
func (r *Rules) isKey(name []byte) bool {
	if traffic.EqualFold(name, "idempotency-key") || traffic.EqualFold(name, "x-idempotency-key") {
		return true
	}
	for _, k := range r.file.Idempotency {
		if traffic.EqualFold(name, k) {
			return true
		}
	}
	return false
}
