package replayer

import "cmp"

// An order hands out the items of a recording by their recorded start. Those that arrive in order stand in line, which
// costs next to nothing; the others lie in a binary heap beside it.
//
//	put ─┬─ not before the last in line ─► line ─┬─► take: the earlier of the two
//	     └─ before it ───────────────────► heap ─┘
type order struct {
	line []*item // from head on
	head int
	heap []*item
}

// before is total: a recording with equal times is replayed in the same order every time.
func before(a, b *item) bool {
	if a.start != b.start {
		return a.start < b.start
	}
	return cmp.Or(
		cmp.Compare(a.session, b.session),
		cmp.Compare(a.seq, b.seq),
		cmp.Compare(a.arrival, b.arrival),
	) < 0
}

func (o *order) len() int { return len(o.line) - o.head + len(o.heap) }

// left is everything that is held, in no order.
func (o *order) left() []*item { return append(o.line[o.head:], o.heap...) }

func (o *order) put(it *item) {
	if n := len(o.line); n == o.head || !before(it, o.line[n-1]) {
		if o.head > n/2 && o.head >= 64 { // the larger part is used up
			kept := copy(o.line, o.line[o.head:])
			clear(o.line[kept:])
			o.line, o.head = o.line[:kept], 0
		}
		o.line = append(o.line, it)
		return
	}
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

// first is the earliest item. There must be one.
func (o *order) first() *item {
	if o.head < len(o.line) && (len(o.heap) == 0 || before(o.line[o.head], o.heap[0])) {
		return o.line[o.head]
	}
	return o.heap[0]
}

// take removes the earliest item. There must be one.
func (o *order) take() *item {
	if o.head < len(o.line) && (len(o.heap) == 0 || before(o.line[o.head], o.heap[0])) {
		it := o.line[o.head]
		o.line[o.head] = nil
		o.head++
		return it
	}
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
