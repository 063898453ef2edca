package hdr

import (
	"fmt"
	"iter"
	"math"
	"time"

	hdrhistogram "github.com/HdrHistogram/hdrhistogram-go"
)

// Limits of what a Hist tells apart. A value is off by less than one part in a thousand.
const (
	Max    = time.Hour // longer durations count as this
	digits = 3
)

// A Hist is a histogram of durations. The zero Hist is empty and ready. It must not be copied after its
// first use, and is not safe for concurrent use.
type Hist struct {
	p *hdrhistogram.PackedHistogram
	// raw is what came in bytes and is not in p yet: see settle. The bytes are never written, and shared.
	raw  [][]byte
	size int // of raw
}

// Record adds d; less than nothing counts as nothing.
func (h *Hist) Record(d time.Duration) {
	h.make()
	if err := h.p.RecordValue(int64(min(max(d, 0), Max))); err != nil {
		panic(fmt.Sprintf("BUG: record %v: %v", d, err))
	}
}

func (h *Hist) make() {
	if h.p == nil {
		if h.settle(); h.p == nil {
			h.p = hdrhistogram.NewPacked(1, int64(Max), digits)
		}
	}
}

// Merge adds all that other holds. The result is the same as if every value had been recorded in h.
func (h *Hist) Merge(other *Hist) {
	if other.p == nil { // most are merged into a sum with many others: they are taken apart together
		h.raw = append(h.raw, other.raw...)
		if h.size += other.size; h.size > lot {
			h.settle()
		}
		return
	}
	h.settle()
	other.settle()
	if h.p == nil {
		h.p = other.p.Clone()
		return
	}
	if n := h.p.Merge(other.p); n != 0 {
		panic(fmt.Sprintf("BUG: merge of equal histograms lost %d values", n))
	}
}

// Clone is an independent copy.
func (h *Hist) Clone() (c Hist) {
	c.Merge(h)
	return c
}

// Count is the number of recorded values.
func (h *Hist) Count() uint64 {
	h.settle()
	if h.p == nil {
		return 0
	}
	return uint64(h.p.TotalCount())
}

// Quantile is the value that a share q (0 to 1) of all values does not exceed, or 0 when h is empty.
func (h *Hist) Quantile(q float64) time.Duration {
	if h.Count() == 0 || math.IsNaN(q) {
		return 0
	}
	return time.Duration(h.p.ValueAtPercentile(100 * min(max(q, 0), 1)))
}

// Max is the largest value, within the precision, or 0 when h is empty.
func (h *Hist) Max() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.p.Max())
}

// Min is the smallest value, within the precision, or 0 when h is empty.
func (h *Hist) Min() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.p.Min())
}

// Mean is the average, within the precision, or 0 when h is empty.
func (h *Hist) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.p.Mean())
}

// Buckets yields the lowest value and the count of every bucket that holds something, in order.
func (h *Hist) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		h.settle()
		if h.p == nil {
			return
		}
		for v, n := range h.p.ForEachBucket {
			if !yield(time.Duration(v), uint64(n)) {
				return
			}
		}
	}
}

// Compact gives back memory that was taken in advance; for a histogram that is complete.
func (h *Hist) Compact() {
	h.settle()
	if h.p != nil {
		h.p.Compact()
	}
}
