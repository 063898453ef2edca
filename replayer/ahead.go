package replayer

import (
	"context"
	"math"
	"sync"
	"time"
)

// ahead is what lies between the feed and the loops: for each loop a track of its items, sorted by due time.
//
//	            ┌─► ▒▒▒▒▒▒▒▒▒▒▒▒▒▒ ─ due ─► loop 0
//	feed ─ put ─┤        ▲ opened: sessions up to here have been told to connect
//	            └─► ▒▒▒▒▒▒▒▒▒▒▒▒ ─ due ─► loop 1
type ahead struct {
	limit int64          // bytes of items from which on put waits
	eager bool           // nothing is due at a time: a loop without items is fed beyond the limit
	tell  func(loop int) // that there is something to look at, for a loop that found nothing
	space chan struct{}  // a token when due found the feed waiting

	mu struct {
		sync.Mutex
		tracks   []track
		horizon  uint64 // places from here on wait
		passed   uint64 // items handed out
		lastDue  time.Duration
		bytes    int64
		starving int  // tracks that are
		ended    bool // nothing will be put any more
		closed   bool // nothing more will be allowed
		feeding  bool // the feed waits for space
	}
}

// A track is the items of one loop.
type track struct {
	items    []*item // from head on
	head     int
	opened   int  // index into items
	starving bool // the loop wants to be told
}

// eagerLimit is how many times the limit may be held when some loop has nothing to send, and nothing is due at a time.
const eagerLimit = 8

func newAhead(limit int64, loops int, tell func(loop int)) *ahead {
	a := &ahead{limit: limit, tell: tell, space: make(chan struct{}, 1)}
	a.mu.tracks = make([]track, loops)
	a.mu.horizon = math.MaxUint64
	return a
}

// never is the time of what does not happen.
const never = time.Duration(math.MaxInt64)

// put adds the item that is due last so far, and reports whether there is as much now as there may be.
func (a *ahead) put(it *item) (full bool) {
	a.mu.Lock()
	loop := loopOf(it.session, len(a.mu.tracks))
	t := &a.mu.tracks[loop]
	t.items = append(t.items, it)
	a.mu.bytes += it.cost
	told := a.fed(t)
	full = !a.roomLocked(a.limit)
	a.mu.Unlock()
	if told {
		a.tell(loop)
	}
	return full
}

// fed reports whether the loop of t waits to be told, which it does no more.
func (a *ahead) fed(t *track) bool {
	if !t.starving {
		return false
	}
	t.starving = false
	a.mu.starving--
	return true
}

func (a *ahead) starve(t *track) {
	if !t.starving {
		t.starving = true
		a.mu.starving++
	}
}

// roomLocked reports whether less than limit is held, or somebody needs more.
func (a *ahead) roomLocked(limit int64) bool {
	return a.mu.bytes < limit || a.eager && a.mu.starving > 0 && a.mu.bytes < eagerLimit*limit
}

// change does something that all loops may have waited for.
func (a *ahead) change(f func()) {
	a.mu.Lock()
	f()
	var told []int
	for i := range a.mu.tracks {
		if a.fed(&a.mu.tracks[i]) {
			told = append(told, i)
		}
	}
	a.mu.Unlock()
	for _, loop := range told {
		a.tell(loop)
	}
}

// allow lets items before place be released.
func (a *ahead) allow(place uint64) { a.change(func() { a.mu.horizon = place }) }

// close says that nothing more will be allowed.
func (a *ahead) close() { a.change(func() { a.mu.closed = true }) }

// end says that nothing more will be put.
func (a *ahead) end() { a.change(func() { a.mu.ended = true }) }

// released is how many items have been handed out, and when the last of them was due.
func (a *ahead) released() (n uint64, due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.passed, a.mu.lastDue
}

// wait returns when a quarter of what may be held is free again, or with ctx's error.
func (a *ahead) wait(ctx context.Context) error {
	for {
		a.mu.Lock()
		free := a.roomLocked(a.limit/4*3 + 1)
		a.mu.feeding = !free
		a.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-a.space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pop takes the first item of t.
func (a *ahead) pop(t *track) *item {
	it := t.items[t.head]
	t.items[t.head] = nil
	t.head++
	a.mu.bytes -= it.cost
	a.mu.passed++
	return it
}

// freed wakes the feed when there is room again.
func (a *ahead) freed() {
	if a.mu.feeding && a.roomLocked(a.limit/4*3+1) {
		a.mu.feeding = false
		token(a.space)
	}
}

// due appends to batch the items of a loop due at now and before, and to opens the sessions whose first item is
// due within lead. next is when to look again; never means when told, and ended that there is nothing left to
// look for.
func (a *ahead) due(loop int, now, lead time.Duration, batch []*item, opens []uint64) (outBatch []*item, outOpens []uint64, next time.Duration, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, t := &a.mu, &a.mu.tracks[loop]
	for t.head < len(t.items) && t.items[t.head].due <= now && t.items[t.head].place < m.horizon {
		it := a.pop(t)
		m.lastDue = max(m.lastDue, it.due)
		batch = append(batch, it)
	}
	t.opened = max(t.opened, t.head)
	for t.opened < len(t.items) && t.items[t.opened].due <= now+lead {
		if it := t.items[t.opened]; it.opens {
			opens = append(opens, it.session)
		}
		t.opened++
	}
	a.freed()
	if t.head == len(t.items) {
		t.items, t.head, t.opened = t.items[:0], 0, 0
		if ended = m.ended || m.closed; !ended {
			a.starve(t)
		}
		return batch, opens, never, ended
	}
	if next = t.items[t.head].due; next <= now { // nobody has allowed it yet
		if !m.closed {
			a.starve(t)
		}
		return batch, opens, never, m.closed
	}
	switch {
	case t.opened < len(t.items):
		next = min(next, t.items[t.opened].due-lead)
	case !m.ended: // what comes next is due after the last here
		next = min(next, max(t.items[len(t.items)-1].due-lead, now+lead/8))
	}
	t.compact()
	return batch, opens, next, false
}

// take appends to batch the first n items of a loop, due or not. ended says that there are no others.
func (a *ahead) take(loop, n int, batch []*item) (out []*item, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.mu.tracks[loop]
	for ; n > 0 && t.head < len(t.items); n-- {
		batch = append(batch, a.pop(t))
	}
	t.opened = max(t.opened, t.head)
	if t.head < len(t.items) {
		t.compact()
		a.freed()
		return batch, false
	}
	t.items, t.head, t.opened = t.items[:0], 0, 0
	if !a.mu.ended {
		a.starve(t)
	}
	a.freed()
	return batch, a.mu.ended
}

// compact moves the items to the front of their slice once the larger part of that is used up.
func (t *track) compact() {
	if t.head < 1024 || t.head < len(t.items)/2 {
		return
	}
	n := copy(t.items, t.items[t.head:])
	clear(t.items[n:])
	t.items, t.opened, t.head = t.items[:n], t.opened-t.head, 0
}

// drain takes out everything that is left.
func (a *ahead) drain() (left []*item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.mu.tracks {
		t := &a.mu.tracks[i]
		left = append(left, t.items[t.head:]...)
		*t = track{}
	}
	a.mu.bytes, a.mu.starving = 0, 0
	return left
}

// loopOf spreads sessions over loops: all of a session on one, so that its order needs no lock.
func loopOf(session uint64, loops int) int {
	return int(mix(session) % uint64(loops))
}

// token makes c readable; c has room for one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
