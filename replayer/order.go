package replayer

import "cmp"

// An order is a binary heap that hands out the items of a recording by their recorded start. Items that
// arrive in order cost next to nothing to put in.
type order struct{ heap []*item }

// before is total: a recording with equal times is replayed in the same order every time.
func before(a, b *item) bool {
	return cmp.Or(
		cmp.Compare(a.start, b.start),
		cmp.Compare(a.session, b.session),
		cmp.Compare(a.seq, b.seq),
		cmp.Compare(a.arrival, b.arrival),
	) < 0
}

func (o *order) len() int { return len(o.heap) }

func (o *order) put(it *item) {
	o.heap = append(o.heap, it)
	h := o.heap
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !before(h[i], h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// take removes the earliest item. There must be one.
func (o *order) take() *item {
	h := o.heap
	first, end := h[0], len(h)-1
	h[0], h[end] = h[end], nil
	h = h[:end]
	o.heap = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= end {
			return first
		}
		if child+1 < end && before(h[child+1], h[child]) {
			child++
		}
		if !before(h[child], h[i]) {
			return first
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
