package replayer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/clock"
)

// A pacer releases items when they are due. It looks at nothing but the clock and the line ahead: whether
// earlier requests were answered, or sent, changes nothing for later ones.
//
//	ahead ─ all that is due now ─► one batch per loop ─► post
//	  ▲ sleep until the next due time, absolute, on a thread of its own
type pacer struct {
	clock clock.Clock
	start time.Time
	ahead *ahead
	loops int
	post  func(loop int, batch []*item, opens []uint64) // must not hold on to the slices

	hungry   chan struct{} // of a closed loop: a token when somebody could send more
	released atomic.Uint64 // items so far
}

const (
	// slot is the shortest sleep after a large batch. A sleep, and waking the loops after it, costs some 20 µs of
	// CPU whatever is sent, so due times closer together than this share a wake-up; no request is late for
	// it by more. Each request of the batch before lets it grow by step: up to some 50,000 a second it stays
	// short, and at low rates nobody waits for others. At 100,000/s this took a seventh off the CPU of a request.
	slot = 250 * time.Microsecond
	step = 10 * time.Microsecond
	// lead is how long before its first request is due a session connects.
	lead = 100 * time.Millisecond
)

// run returns when everything has been released, or when ctx is done. last is the due time of the last
// item released.
func (p *pacer) run(ctx context.Context) (last time.Duration) {
	unlock := clock.LockThread()
	defer unlock()
	var (
		due     []*item
		open    []uint64
		batches = make([][]*item, p.loops)
		opens   = make([][]uint64, p.loops)
	)
	for ctx.Err() == nil {
		now := p.clock.Now().Sub(p.start)
		var next time.Duration
		var ended bool
		due, open, next, ended = p.ahead.due(now, lead, due[:0], open[:0])
		for _, it := range due {
			loop := loopOf(it.session, p.loops)
			batches[loop] = append(batches[loop], it)
			last = it.due
		}
		for _, session := range open {
			loop := loopOf(session, p.loops)
			opens[loop] = append(opens[loop], session)
		}
		p.released.Add(uint64(len(due)))
		for loop := range p.loops {
			if len(batches[loop])+len(opens[loop]) > 0 {
				p.post(loop, batches[loop], opens[loop])
				clear(batches[loop])
				batches[loop], opens[loop] = batches[loop][:0], opens[loop][:0]
			}
		}
		clear(due)
		switch {
		case ended:
			return last
		case next == never:
			select {
			case <-p.ahead.added:
			case <-ctx.Done():
			}
		default:
			pause := min(step*time.Duration(max(len(due), 1)), slot)
			next = min(max(next, now+pause), now+time.Hour) // a due time may be too far for a time.Time
			_ = p.clock.SleepUntil(ctx, p.start.Add(next))  // an early end is seen above
		}
	}
	return last
}

// A closed loop is given closedBatch items at a time, whenever one of its clients has fewer than closedLow: few
// enough to stay in the cache, and so many that the sessions at work among them keep everybody busy.
const (
	closedBatch = 1024
	closedLow   = 512
)

// runClosed releases items as fast as they are answered.
func (p *pacer) runClosed(ctx context.Context) (last time.Duration) {
	var items []*item
	batches := make([][]*item, p.loops)
	for ctx.Err() == nil {
		var ended bool
		items, ended = p.ahead.take(closedBatch, items[:0])
		for _, it := range items {
			loop := loopOf(it.session, p.loops)
			batches[loop] = append(batches[loop], it)
		}
		p.released.Add(uint64(len(items)))
		for loop, batch := range batches {
			if len(batch) > 0 {
				p.post(loop, batch, nil)
				clear(batch)
				batches[loop] = batch[:0]
			}
		}
		wait := p.hungry
		switch {
		case ended:
			return 0
		case len(items) == 0:
			wait = p.ahead.added
		}
		clear(items)
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
	return 0
}

// loopOf spreads sessions over loops: all of a session on one, so that its order needs no lock.
func loopOf(session uint64, loops int) int {
	return int(mix(session) % uint64(loops))
}

func mix(x uint64) uint64 { return chance.Mix(x) }
