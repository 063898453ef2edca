package loopkit

import (
	"iter"

	"github.com/redlane/redlane/internal/engine"
)

// A Table gives connections their handles. The zero Table is empty.
type Table[T any] struct {
	slots []slot[T]
	free  []uint32
}

// A slot is the place a handle points at. gen grows with every use, so that an old handle finds nothing.
// It is never 0: with it, slot 0 would have the handle that names none.
type slot[T any] struct {
	gen uint32
	v   *T
}

// Add gives v a handle.
func (t *Table[T]) Add(v *T) engine.Handle {
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.slots))
		t.slots = append(t.slots, slot[T]{gen: 1})
	}
	s := &t.slots[i]
	s.v = v
	return engine.Handle(s.gen)<<32 | engine.Handle(i)
}

// Get returns what h names, or nil when it was removed or never was.
func (t *Table[T]) Get(h engine.Handle) *T {
	if i := h.Index(); int(i) < len(t.slots) {
		if s := &t.slots[i]; s.gen == uint32(h>>32) {
			return s.v
		}
	}
	return nil
}

// Remove takes h's place back; from here on h names nothing. A handle that names nothing is ignored.
func (t *Table[T]) Remove(h engine.Handle) {
	if t.Get(h) == nil {
		return
	}
	i := h.Index()
	s := &t.slots[i]
	s.v = nil
	if s.gen++; s.gen == 0 {
		s.gen = 1
	}
	t.free = append(t.free, i)
}

// Len is how many are in the table.
func (t *Table[T]) Len() int { return len(t.slots) - len(t.free) }

// All goes through the table. What is added or removed meanwhile may be missed, but nothing comes twice
// or after its removal.
func (t *Table[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range t.slots { // the length of now: what is added behind it is missed
			if v := t.slots[i].v; v != nil && !yield(v) {
				return
			}
		}
	}
}
