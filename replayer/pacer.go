package replayer

import (
	"context"
	"sync/atomic"
	"time"

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

	released atomic.Uint64 // items so far
}

const (
	// slot is the shortest sleep. A sleep costs about 40 µs whatever was asked for, so due times closer
	// together than this share a wake-up; no request is late for it by more.
	slot = 50 * time.Microsecond
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
			next = min(max(next, now+slot), now+time.Hour) // a due time may be too far for a time.Time
			_ = p.clock.SleepUntil(ctx, p.start.Add(next)) // an early end is seen above
		}
	}
	return last
}

// loopOf spreads sessions over loops: all of a session on one, so that its order needs no lock.
func loopOf(session uint64, loops int) int {
	return int(mix(session) % uint64(loops))
}

// mix is the finaliser of splitmix64: every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
