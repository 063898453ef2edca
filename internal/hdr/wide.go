package hdr

import (
	"math/bits"
	"time"
)

// Buckets have numbers, so that they can be counted in a slice, and written as small differences:
//
//	value   0 1 2 ... 2047 | 2048 2050 ... 4094 | 4096 4100 ...       one in 1024 or closer
//	number  the value      | 2048 ...           | 3072 ...
const (
	half    = 1024                 // buckets of one magnitude: three digits
	buckets = half * (42 - 11 + 2) // an hour has 42 bits
)

func magnitude(v int64) int { return max(bits.Len64(uint64(v))-11, 0) }

// bucketOf is the number of v's bucket.
func bucketOf(v int64) int {
	m := magnitude(v)
	return half*m + int(v>>m)
}

// lowest is the lowest value of a bucket.
func lowest(number int) int64 {
	m := max(0, number/half-1)
	return int64(number-half*m) << m
}

// Upper is the highest value of the bucket that begins at v, as Buckets yields it. It is what Quantile
// answers for a value that fell into that bucket.
func Upper(v time.Duration) time.Duration { return v + 1<<magnitude(int64(v)) - 1 }

const (
	// lot is how many bytes wait until they are taken apart: some 100,000 buckets, where a sum has some
	// thousand different ones. A thousand workers send that in 30 ms, and it is given back at the end of their second.
	lot = 256 << 10
	// wideFrom is how many bytes make a wide histogram worth its making.
	wideFrom = 1 << 10
)

// A wide histogram has a counter for every bucket there can be, 270 KB: adding a bucket takes 3 ns in place of
// some 60, which counts where a thousand workers send theirs each second. It lives for one settle.
type wide struct {
	counts      [buckets]int64
	first, last int // of those that hold something
}

// settle makes h packed, however it came to be.
func (h *Hist) settle() {
	if len(h.raw) == 0 {
		return
	}
	raw, size := h.raw, h.size
	h.raw, h.size = nil, 0
	if size < wideFrom {
		for _, b := range raw {
			for bucket, n := range eachRaw(b) {
				h.Add(time.Duration(lowest(bucket)), uint64(n))
			}
		}
		return
	}
	w := &wide{first: buckets}
	for _, b := range raw {
		for bucket, n := range eachRaw(b) { // inlined: a call for each costs as much again
			w.counts[bucket] += n
			w.first, w.last = min(w.first, bucket), max(w.last, bucket)
		}
	}
	for i := w.first; i <= w.last; i++ {
		if n := w.counts[i]; n > 0 {
			h.Add(time.Duration(lowest(i)), uint64(n))
		}
	}
}
