//go:build race || invariant

package invariant

import "sync/atomic"

// On reports whether checks are compiled in.
const On = true

// PoisonByte is what a released buffer is filled with: not ASCII, not zero, easy to see in a dump.
const PoisonByte = 0xCC

// Poison fills b, which its owner has just given back, so that a late reader sees rubbish at once.
func Poison(b []byte) {
	if len(b) == 0 {
		return
	}
	b[0] = PoisonByte
	for n := 1; n < len(b); n *= 2 { // copies are cheap under the race detector, single bytes are not
		copy(b[n:], b[:n])
	}
}

// Check panics with "BUG: " and what unless ok.
func Check(ok bool, what string) {
	if !ok {
		panic("BUG: " + what)
	}
}

// Serial guards a stretch that must never be entered while it runs: not by another goroutine, and not
// nested by its own. The zero Serial is ready.
type Serial struct{ inside atomic.Bool }

// Enter marks the start of the stretch called what.
func (s *Serial) Enter(what string) {
	if !s.inside.CompareAndSwap(false, true) {
		panic("BUG: " + what + " entered twice at once")
	}
}

// Leave marks its end.
func (s *Serial) Leave(what string) {
	if !s.inside.CompareAndSwap(true, false) {
		panic("BUG: " + what + " left but not entered")
	}
}

// Inside checks that somebody is within the stretch.
func (s *Serial) Inside(what string) {
	if !s.inside.Load() {
		panic("BUG: " + what)
	}
}
