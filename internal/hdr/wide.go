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

// A wide histogram has a counter for every bucket there can be, 270 KB: adding a bucket takes 5 ns in place of
// some 60, which counts where a thousand workers send theirs each second.
type wide struct {
	counts      [buckets]int64
	first, last int // of those that hold something
}

// wideFrom is how many buckets make it worth while.
const wideFrom = 256

func (w *wide) add(v, n int64) {
	i := bucketOf(v)
	w.counts[i] += n
	w.first, w.last = min(w.first, i), max(w.last, i)
}

func (w *wide) each(yield func(v, n int64)) {
	for i := w.first; i <= w.last; i++ {
		if n := w.counts[i]; n > 0 {
			yield(lowest(i), n)
		}
	}
}

// widen makes h wide when what it is to be merged with came in bytes, and it is large: it is a sum of what
// many send, and more will come.
func (h *Hist) widen() {
	if h.p == nil || h.p.Populated() < wideFrom {
		return
	}
	h.w = &wide{first: buckets}
	h.p.ForEachBucket(func(v, n int64) bool {
		h.w.add(v, n)
		return true
	})
	h.p = nil
}

// settle makes h packed, however it came to be.
func (h *Hist) settle() {
	raw, w := h.raw, h.w
	if raw == nil && w == nil {
		return
	}
	*h = Hist{}
	record := func(v, n int64) { h.Add(time.Duration(v), uint64(n)) }
	if raw != nil {
		eachRaw(raw, record)
		return
	}
	w.each(record)
}
