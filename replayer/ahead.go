package replayer

import (
	"context"
	"math"
	"sync"
	"time"
)

// ahead is the line of items between the feed and the pacer, sorted by due time.
//
//	feed ─ put ─► ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ ─ due ─► pacer
//	                    ▲
//	                 opened: sessions up to here have been told to connect
type ahead struct {
	limit int64         // bytes of items from which on put waits
	added chan struct{} // a token when put found the pacer waiting
	space chan struct{} // a token when due found the feed waiting

	mu struct {
		sync.Mutex
		horizon  uint64 // places from here on wait
		passed   uint64 // items that due handed out
		lastDue  time.Duration
		items    []*item // from head on
		head     int
		opened   int // index into items
		bytes    int64
		ended    bool // nothing will be put any more
		closed   bool // nothing more will be allowed
		feeding  bool // the feed waits for space
		starving bool // the pacer waits for items
	}
}

func newAhead(limit int64) *ahead {
	a := &ahead{limit: limit, added: make(chan struct{}, 1), space: make(chan struct{}, 1)}
	a.mu.horizon = math.MaxUint64
	return a
}

// never is the time of what does not happen.
const never = time.Duration(math.MaxInt64)

// put adds the item that is due last so far, and reports whether the line is now as long as it may be.
func (a *ahead) put(it *item) (full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.items = append(a.mu.items, it)
	a.mu.bytes += it.cost
	a.wake()
	return a.mu.bytes >= a.limit
}

// allow lets items before place be released.
func (a *ahead) allow(place uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.horizon = place
	a.wake()
}

// close says that nothing more will be allowed.
func (a *ahead) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.closed = true
	a.wake()
}

// released is how many items due has handed out, and when the last of them was due.
func (a *ahead) released() (n uint64, due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.passed, a.mu.lastDue
}

// end says that nothing more will be put.
func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.ended = true
	a.wake()
}

func (a *ahead) wake() {
	if a.mu.starving {
		a.mu.starving = false
		token(a.added)
	}
}

// wait returns when a quarter of the line is free again, or with ctx's error.
func (a *ahead) wait(ctx context.Context) error {
	for {
		a.mu.Lock()
		free := a.mu.bytes <= a.limit/4*3
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

// due appends to batch the items due at now and before, and to opens the sessions whose first item is
// due within lead. next is when to look again; never means when added has a token, and
// ended that there is nothing left to look for.
func (a *ahead) due(now, lead time.Duration, batch []*item, opens []uint64) (outBatch []*item, outOpens []uint64, next time.Duration, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &a.mu
	for m.head < len(m.items) && m.items[m.head].due <= now && m.items[m.head].place < m.horizon {
		it := m.items[m.head]
		m.passed, m.lastDue = m.passed+1, it.due
		m.items[m.head] = nil
		m.head++
		m.bytes -= it.cost
		batch = append(batch, it)
	}
	m.opened = max(m.opened, m.head)
	for m.opened < len(m.items) && m.items[m.opened].due <= now+lead {
		if it := m.items[m.opened]; it.opens {
			opens = append(opens, it.session)
		}
		m.opened++
	}
	if m.feeding && m.bytes <= a.limit/4*3 {
		m.feeding = false
		token(a.space)
	}
	if m.head == len(m.items) {
		m.items, m.head, m.opened = m.items[:0], 0, 0
		ended = m.ended || m.closed
		m.starving = !ended
		return batch, opens, never, ended
	}
	if next = m.items[m.head].due; next <= now { // nobody has allowed it yet
		m.starving = !m.closed
		return batch, opens, never, m.closed
	}
	switch {
	case m.opened < len(m.items):
		next = min(next, m.items[m.opened].due-lead)
	case !m.ended: // what comes next is due after the last here
		next = min(next, max(m.items[len(m.items)-1].due-lead, now+lead/8))
	}
	a.compact()
	return batch, opens, next, false
}

// take appends to batch the first n items, due or not. ended says that there are no others.
func (a *ahead) take(n int, batch []*item) (out []*item, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &a.mu
	for ; n > 0 && m.head < len(m.items); n-- {
		it := m.items[m.head]
		m.items[m.head] = nil
		m.head++
		m.bytes -= it.cost
		batch = append(batch, it)
	}
	if m.feeding && m.bytes <= a.limit/4*3 {
		m.feeding = false
		token(a.space)
	}
	m.opened = max(m.opened, m.head)
	if m.head < len(m.items) {
		a.compact()
		return batch, false
	}
	m.items, m.head, m.opened = m.items[:0], 0, 0
	m.starving = !m.ended
	return batch, m.ended
}

// compact moves the line to the front of its slice once the larger part of that is used up.
func (a *ahead) compact() {
	m := &a.mu
	if m.head < 1024 || m.head < len(m.items)/2 {
		return
	}
	n := copy(m.items, m.items[m.head:])
	clear(m.items[n:])
	m.items, m.opened, m.head = m.items[:n], m.opened-m.head, 0
}

// drain takes out everything that is left.
func (a *ahead) drain() (left []*item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left = append(left, a.mu.items[a.mu.head:]...)
	a.mu.items, a.mu.head, a.mu.opened, a.mu.bytes = nil, 0, 0, 0
	return left
}

// token makes c readable; c has room for one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
