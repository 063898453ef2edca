package replayer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// A feed reads the recording ahead of the pacer, on its own goroutine.
//
//	Source ─► plan: bytes to send, or a reason not to ─► order ─► schedule ─► ahead ─► pacer
//	                                                       └── all of it within the window ──┘
type feed struct {
	src      traffic.Source
	planner  *planner
	schedule Schedule
	order    order
	reorder  int // items that order holds back
	window   *window
	ahead    *ahead
	clock    clock.Clock
	start    atomic.Pointer[time.Time] // of the run, once it is known

	primed chan struct{} // closed when enough has been read to start
	ready  bool          // primed is closed

	// What the books need, read by others after run has returned.
	ledger    traffic.Ledger // accepted, and dropped because it cannot be sent
	planned   uint64         // put in line
	disorder  uint64         // came too late to be put in order
	exhausted uint64         // overdue when put in line, because the window was full
	late      uint64         // overdue when put in line, because the source was slow
	sessions  uint64
	whole     bool // the source was read to its end

	seen  map[uint64]struct{}
	stuck bool // the window was full, and the feed has not caught up since
}

// maxSeen bounds what is remembered of sessions. Past it a session may count as new a second time, which
// costs an early connection at most.
const maxSeen = 1 << 20

// run reads until the end of the source, or until ctx is done; that is no error.
func (f *feed) run(ctx context.Context) error {
	err := f.read(ctx)
	for err == nil && f.order.len() > 0 {
		err = f.release(ctx)
	}
	if ctx.Err() != nil { // asked here: the run may end as soon as the line has
		err = nil
	} else {
		f.whole = err == nil
	}
	f.prime()
	f.ahead.end()
	return err
}

func (f *feed) read(ctx context.Context) error {
	var x traffic.Exchange
	for ctx.Err() == nil {
		x.Reset()
		switch err := f.src.Next(ctx, &x); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read recording, exchange %d: %w", f.ledger.Accepted+1, err)
		}
		f.ledger.Accepted++
		it := getItem()
		if reason := f.planner.plan(&x, it); reason != "" {
			f.ledger.Drop(reason, 1)
			putItem(it)
			continue
		}
		it.arrival = f.ledger.Accepted
		if err := f.hold(ctx, it); err != nil {
			return err
		}
		for f.order.len() > f.reorder {
			if err := f.release(ctx); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// hold takes room for it in the window and puts it in order. When there is no room, what waits to be
// ordered must go first: it may be all there is to make room.
func (f *feed) hold(ctx context.Context, it *item) error {
	it.cost = it.size()
	for !f.window.fits(it.cost) {
		f.stuck = true
		if f.order.len() > 0 {
			f.line()
			continue
		}
		f.prime()
		if err := f.window.wait(ctx, it.cost); err != nil {
			f.window.take(it.cost)
			f.order.put(it) // still in the books
			return err
		}
	}
	f.window.take(it.cost)
	f.order.put(it)
	return nil
}

// release moves the earliest item from order to the line, and waits while that is full.
func (f *feed) release(ctx context.Context) error {
	if full := f.line(); full {
		f.prime()
		return f.ahead.wait(ctx)
	}
	return nil
}

// line gives the earliest item its due time and puts it in line.
func (f *feed) line() (full bool) {
	it := f.order.take()
	var moved bool
	it.due, moved = f.schedule.Next(it.start)
	if moved {
		f.disorder++
	}
	if _, known := f.seen[it.session]; !known {
		if f.seen == nil || len(f.seen) >= maxSeen {
			f.seen = make(map[uint64]struct{})
		}
		f.seen[it.session] = struct{}{}
		f.sessions++
		it.opens = true
	}
	f.planned++
	f.overdue(it)
	return f.ahead.put(it)
}

// overdue notes when an item is put in line after its time, and why.
func (f *feed) overdue(it *item) {
	t0 := f.start.Load()
	if t0 == nil {
		return
	}
	switch overdue := f.clock.Now().Sub(*t0) > it.due; {
	case !overdue:
		f.stuck = false
	case f.stuck:
		f.exhausted++
	default:
		f.late++
	}
}

func (f *feed) prime() {
	if !f.ready {
		f.ready = true
		close(f.primed)
	}
}

// left is what run did not put in line.
func (f *feed) left() []*item { return f.order.heap }
