package loopkit

import "math/bits"

// The wheel's first ring has 64 places of 2^16 ns (66 us), so a timer fires at most that much late; the
// places of each further ring are as long as the ring before it. Eight rings reach as far as an int64.
const (
	tickBits  = 16
	ringBits  = 6
	places    = 1 << ringBits
	rings     = 8
	inExpired = rings * places // the list of those that may be due
)

// A Timer is a field of what it belongs to. The zero Timer, with Owner set, is stopped.
type Timer[T any] struct {
	Owner *T
	Kind  uint8 // for an owner that has several

	due        int64 // when it is wanted; 0: not at all
	next, prev *Timer[T]
	in         uint16 // 1 + place in the wheel; 0: in no list
	set        int64  // when the wheel will look at it
}

// A Wheel keeps timers by time, in nanoseconds since whatever moment the caller counts from, which must be
// greater than 0 and less than 2^62. Most calls of Arm move a timer later or stop it: they only write when it is due, and the
// wheel looks again at the time it had noted before. The zero Wheel is empty.
type Wheel[T any] struct {
	now   int64 // in ticks: every place before it has been emptied
	count int   // timers in lists
	lists [rings*places + 1]*Timer[T]
	used  [rings]uint64 // a bit for each place that is not empty
}

// Arm sets t to fire at due, in place of what it was set to.
func (w *Wheel[T]) Arm(t *Timer[T], due int64) {
	t.due = due
	if t.in != 0 {
		if t.set <= due {
			return
		}
		w.unlink(t)
	}
	w.insert(t, due)
}

// Stop keeps t from firing.
func (w *Wheel[T]) Stop(t *Timer[T]) { t.due = 0 }

// Armed reports whether t will fire.
func (t *Timer[T]) Armed() bool { return t.due != 0 }

// Remove stops t and forgets it, so that its owner can be used for something else.
func (w *Wheel[T]) Remove(t *Timer[T]) {
	t.due = 0
	if t.in != 0 {
		w.unlink(t)
	}
}

// Len is how many timers the wheel will look at again, stopped ones among them.
func (w *Wheel[T]) Len() int { return w.count }

// insert puts t where the wheel looks at it at the time at, or earlier when that is far away. Times are
// rounded up to whole ticks: never early.
func (w *Wheel[T]) insert(t *Timer[T], at int64) {
	tick := (at-1)>>tickBits + 1
	if tick <= w.now {
		w.link(t, inExpired, at)
		return
	}
	// The ring is that of the highest digit in which tick and now differ, so that all places of a ring that
	// are in use come after now's, and before those of the next ring.
	ring := (bits.Len64(uint64(tick^w.now)) - 1) / ringBits
	place := int(tick>>(ringBits*ring)) & (places - 1)
	w.used[ring] |= 1 << place
	w.link(t, ring*places+place, at)
}

func (w *Wheel[T]) link(t *Timer[T], list int, at int64) {
	head := w.lists[list]
	t.next, t.prev = head, nil
	if head != nil {
		head.prev = t
	}
	w.lists[list] = t
	t.in, t.set = uint16(list+1), at
	w.count++
}

func (w *Wheel[T]) unlink(t *Timer[T]) {
	list := int(t.in) - 1
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else if w.lists[list] = t.next; t.next == nil && list != inExpired {
		w.used[list/places] &^= 1 << (list % places)
	}
	t.next, t.prev, t.in = nil, nil, 0
	w.count--
}

// Next is when to call Expired again: no later than the first timer is due, rounded up to a tick, and often
// earlier, because a timer that is far away moves from ring to ring. ok is false when nothing is in the wheel.
func (w *Wheel[T]) Next() (at int64, ok bool) {
	if w.lists[inExpired] != nil {
		return w.now << tickBits, true
	}
	tick, _, ok := w.first()
	return tick << tickBits, ok
}

// first finds the first place that is in use, and its tick.
func (w *Wheel[T]) first() (tick int64, list int, ok bool) {
	for ring, used := range w.used {
		if used != 0 {
			place, shift := bits.TrailingZeros64(used), ringBits*ring
			return (w.now>>(shift+ringBits)<<ringBits | int64(place)) << shift, ring*places + place, true
		}
	}
	return 0, 0, false
}

// Expired returns a timer that is due and stops it; nil when none is left. Those that are due in the same
// tick come in any order. What the caller does with timers between two calls is heeded.
func (w *Wheel[T]) Expired(now int64) *Timer[T] {
	for {
		for t := w.lists[inExpired]; t != nil; t = w.lists[inExpired] {
			w.unlink(t)
			switch {
			case t.due == 0:
			case t.due <= now:
				t.due = 0
				return t
			default:
				w.insert(t, t.due)
			}
		}
		if !w.turn(now >> tickBits) {
			return nil
		}
	}
}

// turn moves the wheel to the first place in use, but not beyond tick until, and puts the timers it finds
// there where they belong now. It reports whether there was such a place.
func (w *Wheel[T]) turn(until int64) bool {
	if until <= w.now {
		return false
	}
	tick, list, ok := w.first()
	if !ok || tick > until {
		w.now = until
		return false
	}
	w.now = tick
	for t := w.lists[list]; t != nil; t = w.lists[list] {
		w.unlink(t)
		if t.due != 0 {
			w.insert(t, t.due)
		}
	}
	return true
}
