package shape

import "math/bits"

// A u128 is a whole number of up to 128 bits.
type u128 struct{ hi, lo uint64 }

func mul(a, b uint64) (x u128) {
	x.hi, x.lo = bits.Mul64(a, b)
	return x
}

func (x u128) add(y u128) u128 {
	lo, carry := bits.Add64(x.lo, y.lo, 0)
	hi, _ := bits.Add64(x.hi, y.hi, carry)
	return u128{hi, lo}
}

func (x u128) sub(y u128) u128 {
	lo, borrow := bits.Sub64(x.lo, y.lo, 0)
	hi, _ := bits.Sub64(x.hi, y.hi, borrow)
	return u128{hi, lo}
}

func (x u128) less(y u128) bool { return x.hi < y.hi || x.hi == y.hi && x.lo < y.lo }

// float is x to within one part in 2^53.
func (x u128) float() float64 { return float64(x.hi)*(1<<64) + float64(x.lo) }

// ceilDiv is x/d rounded up; false when that needs more than 63 bits.
func (x u128) ceilDiv(d uint64) (uint64, bool) {
	if x.hi >= d {
		return 0, false
	}
	q, r := bits.Div64(x.hi, x.lo, d)
	if q >= 1<<63-1 {
		return 0, false
	}
	if r > 0 {
		q++
	}
	return q, true
}

// floorDiv is x/d rounded down; false when that needs more than 64 bits.
func (x u128) floorDiv(d uint64) (uint64, bool) {
	if x.hi >= d {
		return 0, false
	}
	q, _ := bits.Div64(x.hi, x.lo, d)
	return q, true
}

// atLeast reports whether x·m >= y·n, in 192 bits.
func atLeast(x u128, m uint64, y u128, n uint64) bool {
	x2, x1, x0 := x.times(m)
	y2, y1, y0 := y.times(n)
	switch {
	case x2 != y2:
		return x2 > y2
	case x1 != y1:
		return x1 > y1
	}
	return x0 >= y0
}

func (x u128) times(m uint64) (w2, w1, w0 uint64) {
	h1, w0 := bits.Mul64(x.lo, m)
	w2, l1 := bits.Mul64(x.hi, m)
	w1, carry := bits.Add64(h1, l1, 0)
	return w2 + carry, w1, w0
}
