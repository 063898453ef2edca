package tape

import (
	"encoding/binary"
	"math"
)

// A cursor reads MessagePack values from b, any width of each kind. The first value that is not what was
// asked for, or not whole, makes it bad; from then on it yields zeros and stays where it is.
type cursor struct {
	b   []byte
	i   int
	bad bool
}

func (c *cursor) fail() { c.bad = true }

// take returns the next n bytes, or nil when b is shorter.
func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b)-c.i {
		c.bad = true
		return nil
	}
	p := c.b[c.i : c.i+n : c.i+n]
	c.i += n
	return p
}

// peek is the first byte of the next value; 0xc1, which no value starts with, at the end.
func (c *cursor) peek() byte {
	if c.bad || c.i >= len(c.b) {
		return 0xc1
	}
	return c.b[c.i]
}

func (c *cursor) nil() bool {
	if c.peek() != 0xc0 {
		return false
	}
	c.i++
	return true
}

func (c *cursor) bool() bool {
	switch c.peek() {
	case 0xc2:
		c.i++
	case 0xc3:
		c.i++
		return true
	default:
		c.fail()
	}
	return false
}

// int reads any integer that fits an int64.
func (c *cursor) int() int64 {
	if !c.bad && c.i < len(c.b) && c.b[c.i] < 0x80 {
		c.i++
		return int64(c.b[c.i-1])
	}
	return c.intSlow()
}

func (c *cursor) intSlow() int64 {
	if len(c.b)-c.i < 9 || c.bad {
		return c.intEnd()
	}
	// Nine bytes are there, whatever it is: one load, and a shift by the width.
	p := c.b[c.i : c.i+9 : c.i+9]
	v := binary.BigEndian.Uint64(p[1:])
	switch k := p[0]; {
	case k-0xcc < 4:
		if v >>= 64 - 8<<(k-0xcc); v > math.MaxInt64 {
			c.fail()
			return 0
		}
		c.i += 1 + 1<<(k-0xcc)
		return int64(v)
	case k-0xd0 < 4:
		c.i += 1 + 1<<(k-0xd0)
		return int64(v) >> (64 - 8<<(k-0xd0))
	case k >= 0xe0:
		c.i++
		return int64(int8(k))
	case k < 0x80:
		c.i++
		return int64(k)
	}
	c.fail()
	return 0
}

// intEnd is intSlow near the end of b.
func (c *cursor) intEnd() int64 {
	k := c.peek()
	if k >= 0xe0 {
		c.i++
		return int64(int8(k))
	}
	switch k {
	case 0xd0:
		if p := c.take(2); p != nil {
			return int64(int8(p[1]))
		}
	case 0xd1:
		if p := c.take(3); p != nil {
			return int64(int16(binary.BigEndian.Uint16(p[1:])))
		}
	case 0xd2:
		if p := c.take(5); p != nil {
			return int64(int32(binary.BigEndian.Uint32(p[1:])))
		}
	case 0xd3:
		if p := c.take(9); p != nil {
			return int64(binary.BigEndian.Uint64(p[1:]))
		}
	default:
		if v := c.uint(); v <= math.MaxInt64 {
			return int64(v)
		}
		c.fail()
	}
	return 0
}

// uint reads any integer that is not negative.
func (c *cursor) uint() uint64 {
	k := c.peek()
	if k < 0x80 {
		c.i++
		return uint64(k)
	}
	switch k {
	case 0xcc:
		if p := c.take(2); p != nil {
			return uint64(p[1])
		}
	case 0xcd:
		if p := c.take(3); p != nil {
			return uint64(binary.BigEndian.Uint16(p[1:]))
		}
	case 0xce:
		if p := c.take(5); p != nil {
			return uint64(binary.BigEndian.Uint32(p[1:]))
		}
	case 0xcf:
		if p := c.take(9); p != nil {
			return binary.BigEndian.Uint64(p[1:])
		}
	case 0xd0, 0xd1, 0xd2, 0xd3: // a signed form may hold a positive number
		if v := c.intEnd(); v >= 0 {
			return uint64(v)
		}
		c.fail()
	default:
		c.fail()
	}
	return 0
}

func (c *cursor) float32() float32 {
	if c.peek() == 0xca {
		if p := c.take(5); p != nil {
			return math.Float32frombits(binary.BigEndian.Uint32(p[1:]))
		}
	}
	c.fail()
	return 0
}

// bytes reads a bin or a str; nil is empty. The result points into b.
func (c *cursor) bytes() []byte {
	if b, i := c.b, c.i; !c.bad && len(b)-i >= 2 && b[i] == 0xc4 {
		if end := i + 2 + int(b[i+1]); end <= len(b) {
			c.i = end
			return b[i+2 : end : end]
		}
	}
	return c.bytesSlow()
}

func (c *cursor) bytesSlow() []byte {
	n := 0
	switch k := c.peek(); {
	case k == 0xc0:
		c.i++
		return nil
	case k == 0xc4 || k == 0xd9:
		if p := c.take(2); p != nil {
			n = int(p[1])
		}
	case k == 0xc5 || k == 0xda:
		if p := c.take(3); p != nil {
			n = int(binary.BigEndian.Uint16(p[1:]))
		}
	case k == 0xc6 || k == 0xdb:
		if p := c.take(5); p != nil {
			n = int(binary.BigEndian.Uint32(p[1:]))
		}
	case k&0xe0 == 0xa0:
		c.i++
		n = int(k & 0x1f)
	default:
		c.fail()
	}
	return c.take(n)
}

// array reads the head of an array and requires n elements.
func (c *cursor) array(n int) {
	got := -1
	switch k := c.peek(); {
	case k&0xf0 == 0x90:
		c.i++
		got = int(k & 0x0f)
	case k == 0xdc:
		if p := c.take(3); p != nil {
			got = int(binary.BigEndian.Uint16(p[1:]))
		}
	case k == 0xdd:
		if p := c.take(5); p != nil {
			got = int(binary.BigEndian.Uint32(p[1:]))
		}
	}
	if got != n {
		c.fail()
	}
}

// isArray reports whether the next value is an array.
func (c *cursor) isArray() bool {
	k := c.peek()
	return k&0xf0 == 0x90 || k == 0xdc || k == 0xdd
}

// skip steps over n values, of which a fault may be an array of scalars; nothing deeper exists here. Half of reading
// is this: a table instead of branches, which numbers of changing width would mislead, makes it three times faster.
func (c *cursor) skip(n int) {
	b, i := c.b, c.i
	for ; n > 0 && !c.bad; n-- {
		if uint(i) >= uint(len(b)) {
			c.bad = true
			return
		}
		k := b[i]
		if w := int(widths[k]); w > 0 && w <= len(b)-i {
			i += w
			continue
		}
		if k == 0xc4 && i+1 < len(b) && int(b[i+1]) <= len(b)-i-2 {
			i += 2 + int(b[i+1])
			continue
		}
		c.i = i
		switch {
		case k&0xf0 == 0x90:
			c.i++
			n += int(k & 0x0f)
		case k == 0xdc:
			if p := c.take(3); p != nil {
				n += int(binary.BigEndian.Uint16(p[1:]))
			}
		default:
			c.bytes()
		}
		i = c.i
	}
	if !c.bad {
		c.i = i
	}
}

// widths are the sizes of values that their first byte tells: numbers, nil and bool.
var widths = func() (w [256]uint8) {
	for k := range w {
		if k < 0x80 || k >= 0xe0 || k == 0xc0 || k == 0xc2 || k == 0xc3 {
			w[k] = 1
		}
	}
	w[0xca] = 5
	for i := range 4 {
		w[0xcc+i], w[0xd0+i] = 1+1<<i, 1+1<<i
	}
	return w
}()
