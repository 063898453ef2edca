package injector

import "sync/atomic"

// A gate counts strikes, all and under way, and admits no more than its caps. Both numbers live in one
// word, so that both caps are exact at once:
//
//	┌──────────── 40 bits ────────────┬──── 24 bits ────┐
//	│ strikes so far                  │ under way       │
//	└─────────────────────────────────┴─────────────────┘
type gate struct{ word atomic.Uint64 }

const activeBits = 24

// enter counts one strike more, unless a cap is reached. A cap of 0 is none, up to what the word holds.
func (g *gate) enter(maxStruck, maxUnderWay uint64) bool {
	if maxStruck == 0 {
		maxStruck = maxRequests
	}
	if maxUnderWay == 0 {
		maxUnderWay = maxActive
	}
	for {
		w := g.word.Load()
		if w>>activeBits >= maxStruck || w&maxActive >= maxUnderWay {
			return false
		}
		if g.word.CompareAndSwap(w, w+1<<activeBits+1) {
			return true
		}
	}
}

// leave says that a strike is over. It does nothing when none is under way: the lease that struck may have
// been forgotten and its id given to another.
func (g *gate) leave() {
	for {
		w := g.word.Load()
		if w&maxActive == 0 || g.word.CompareAndSwap(w, w-1) {
			return
		}
	}
}

// restart forgets the strikes so far, but not those under way.
func (g *gate) restart() {
	for {
		w := g.word.Load()
		if g.word.CompareAndSwap(w, w&maxActive) {
			return
		}
	}
}

func (g *gate) active() uint64 { return g.word.Load() & maxActive }
