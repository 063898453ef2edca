package replayer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// A feed reads the recording ahead of the pacers, on its own goroutine.
//
//	Source ─► plan: bytes to send, or a reason not to ─► order ─► schedule ─► ahead ─► pacers
//	                                                       └── all of it within the window ──┘
type feed struct {
	src      traffic.Source
	planner  *planner
	schedule Schedule
	order    order
	reorder  int // items that order holds back
	rules    *rewrite.Rules
	readTo   int64 // the latest start that was read
	window   *window
	ahead    *ahead
	stock    *stock
	spare    []*item // taken from stock
	clock    clock.Clock
	start    atomic.Pointer[time.Time] // of the run, once it is known
	part     *Part                     // nil when the whole recording is ours

	primed chan struct{} // closed when enough has been read to start
	ready  bool          // primed is closed

	// What the books need, read by others after run has returned.
	ledger    traffic.Ledger // accepted, and dropped because it cannot be sent
	planned   uint64         // put in line
	disorder  uint64         // came too late to be put in order
	exhausted uint64         // overdue when put in line, because the window was full
	late      uint64         // overdue when put in line, because the source was slow
	sessions  uint64
	whole     bool // the source was read to its end, or as far as the schedule wants
	over      bool // the schedule has ended; what was read ahead of that is filtered
	unfilled  time.Duration

	live struct { // for those who watch
		accepted, refused atomic.Uint64
		until             atomic.Int64 // due time of the last in line
		ended             atomic.Bool  // nothing comes after it
	}

	seen  map[uint64]struct{}
	stuck bool // the window was full, and the feed has not caught up since
}

// maxSeen bounds what is remembered of sessions. Past it a session may count as new a second time, which
// costs an early connection at most.
const maxSeen = 1 << 20

// A lean source can leave out what came back, all but the status, where that saves it work. It is asked before its first
// Next.
type lean interface{ SkipResponses() }

func (r *run) newFeed(src traffic.Source) *feed {
	f := &feed{
		src: src, planner: newPlanner(&r.cfg, r.routes), rules: r.cfg.Rewrite, part: r.cfg.Part,
		schedule: Schedule{Shape: r.cfg.Shape, For: r.cfg.For}, reorder: r.cfg.Reorder * r.cfg.Rewrite.Clones(),
		window: r.window, ahead: r.ahead, stock: r.stock, clock: r.cfg.Clock, primed: make(chan struct{}),
	}
	if s, ok := src.(lean); ok && !f.planner.wantsResponses() {
		s.SkipResponses()
	}
	return f
}

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
		if f.whole {
			f.unfilled = f.schedule.unfilled()
		}
	}
	f.live.ended.Store(true)
	if f.part != nil && f.whole {
		f.part.end()
	}
	f.prime()
	f.ahead.end()
	return err
}

func (f *feed) read(ctx context.Context) error {
	var x traffic.Exchange
	for ctx.Err() == nil && !f.over {
		x.Reset()
		switch err := f.src.Next(ctx, &x); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read recording, exchange %d: %w", f.ledger.Accepted/uint64(f.rules.Clones())+1, err)
		}
		recorded := x.Session
		f.readTo = max(f.readTo, x.Start)
		for clone := range f.rules.Clones() {
			if err := f.take(ctx, &x, recorded, clone); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// take plans x for one clone of the session it was recorded in, and puts it in order. It leaves x's request
// as it is.
func (f *feed) take(ctx context.Context, x *traffic.Exchange, recorded uint64, clone int) error {
	f.ledger.Accepted++
	f.live.accepted.Store(f.ledger.Accepted)
	it := f.item()
	start := x.Start
	if clone > 0 {
		x.Session = f.rules.Session(recorded, clone)
		x.Start += int64(f.rules.Delay(recorded, clone))
	}
	f.planner.clone = clone
	// Also of what others send: routes are learned in the order of the recording, and all should learn the same.
	it.route = f.planner.routes.of(x.Request.Method, x.Request.Target)
	var reason string
	if f.part.foreign(x.Session) {
		it.foreign = true
	} else {
		reason = f.planner.plan(x, it)
	}
	if it.reason = reason; f.part != nil && (it.foreign || reason != "") {
		it.placed(x)
		reason = ""
	}
	x.Start = start
	if reason != "" {
		f.ledger.Drop(reason, 1)
		f.live.refused.Add(1)
		f.reuse(it)
		return nil
	}
	it.arrival = f.ledger.Accepted
	if err := f.hold(ctx, it); err != nil {
		return err
	}
	for f.order.len() > f.reorder && f.order.first().start <= f.readTo { // a clone that comes later may have to wait for others
		if err := f.release(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reuse keeps the memory of an item that is not put in line.
func (f *feed) reuse(it *item) {
	it.clean()
	f.spare = append(f.spare, it)
}

// item is one to be filled.
func (f *feed) item() *item {
	if len(f.spare) == 0 {
		if f.spare = f.stock.take(f.spare); len(f.spare) == 0 {
			return new(item)
		}
	}
	last := len(f.spare) - 1
	it := f.spare[last]
	f.spare = f.spare[:last]
	return it
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
		f.wait()
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
		f.wait()
		return f.ahead.wait(ctx)
	}
	return nil
}

// line gives the earliest item its due time and puts it in line, unless the schedule has ended.
func (f *feed) line() (full bool) {
	it := f.order.take()
	due, moved, ok := f.schedule.Next(it.start)
	if !ok {
		f.over = true
		f.ledger.Filtered++
		f.window.give(it.cost)
		f.reuse(it)
		return false
	}
	it.due = due
	if f.part != nil && !f.part.pass(it, due) {
		f.window.give(it.cost)
		f.reuse(it)
		return false
	}
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
	f.live.until.Store(int64(it.due))
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

// wait comes before waiting for what has been read to be sent.
func (f *feed) wait() {
	if f.part != nil {
		f.part.mark()
	}
	f.prime()
}

func (f *feed) prime() {
	if !f.ready {
		f.ready = true
		close(f.primed)
	}
}

// left is what run did not put in line.
func (f *feed) left() []*item { return f.order.left() }
