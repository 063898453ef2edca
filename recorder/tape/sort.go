package tape

import (
	"cmp"
	"slices"
)

// A startOrder is an order of the records of a block: by start, and those of equal start as they were written. Start and
// place go into one number where they fit, which sorts five times faster than the records themselves:
//
//	key = start since the earliest │ place
//	       44 bits, five hours       20 bits
type startOrder struct {
	keys []uint64
	mask uint64 // of the place in a key
}

const placeBits = 20

func (o *startOrder) at(pos int) int { return int(o.keys[pos] & o.mask) }

func (o *startOrder) sort(hs []head) {
	o.keys = o.keys[:0]
	if len(hs) == 0 {
		return
	}
	first, last, sorted := hs[0].start, hs[0].start, true
	for i := range hs {
		start := hs[i].start
		sorted = sorted && start >= last
		first, last = min(first, start), max(last, start)
	}
	o.mask = 1<<placeBits - 1
	wide := uint64(last)-uint64(first) >= 1<<(64-placeBits) || len(hs) > 1<<placeBits
	if wide { // the place alone
		o.mask = ^uint64(0)
	}
	for i := range hs {
		key := uint64(i)
		if !wide {
			key |= (uint64(hs[i].start) - uint64(first)) << placeBits
		}
		o.keys = append(o.keys, key)
	}
	switch {
	case sorted:
	case wide:
		slices.SortFunc(o.keys, func(a, b uint64) int {
			return cmp.Or(cmp.Compare(hs[a].start, hs[b].start), cmp.Compare(a, b))
		})
	default:
		slices.Sort(o.keys)
	}
}
