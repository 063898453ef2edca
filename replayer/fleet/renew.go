package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/bus"
)

// errLost ends a part whose lease somebody else has ended: others send what comes next.
var errLost = errors.New("others have taken over: the lease was not renewed in time")

// gaveUp ends a run for a worker that is cut off from those who could tell it that it may go on.
type gaveUp struct {
	what  string
	since time.Duration
}

func (g *gaveUp) Error() string {
	return fmt.Sprintf("INVALID: %s for %v; nothing more is sent", g.what, g.since.Round(10*time.Millisecond))
}

// renewAll writes down what may be sent, again and again, and lets it be sent once that is safe.
//
//	now            ahead
//	 │─────────────────│            Next
//	 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒            lease: these places may be sent      Update, at its revision
//	                                 └─ written: they may                Allow
//	                                 └─ conflict: others have taken over cancel
//	                                 └─ no word: look what is there, nothing more is sent until that is known
//
// It begins with T0, before which nothing is sent: a thousand workers that make ready have enough to do. Their
// renewals are spread over the time between two.
func (p *part) renewAll(ctx context.Context, rev uint64) {
	select {
	case <-p.agreed:
	case <-ctx.Done():
		return
	}
	p.mu.Lock()
	begun := p.begun
	p.mu.Unlock()
	if now := p.s.Clock.Now(); begun.Sub(now) > 2*renewEvery && p.s.Clock.SleepUntil(ctx, now.Add(phase(p.o.Part))) != nil {
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	var n uint64
	last, sure := p.s.Clock.Now(), true
	for {
		fresh := p.s.quiet() < beatFresh // or nothing is written down, for a controller that may be gone
		if fresh && !sure {
			found, err := p.look(ctx)
			if errors.Is(err, errLost) {
				p.cancel(errLost)
				return
			}
			if sure = err == nil; sure {
				rev = found
			}
		}
		if fresh && sure {
			n++
			found, err := p.renew(ctx, rev, n)
			if sure = err == nil; sure { // with a conflict, an earlier write of our own may have got through after all
				rev, last = found, p.s.Clock.Now()
			}
		}
		if since := p.s.Clock.Now().Sub(last); since > holdTime {
			err := &gaveUp{"the lease could not be renewed", since}
			p.s.mu.Lock()
			p.s.err = err
			p.s.mu.Unlock()
			p.cancel(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// phase is when a part begins to renew. Neighbours are far apart, and any number of them is spread evenly.
func phase(part int) time.Duration {
	const golden = 40503 // of 1<<16
	return renewEvery * time.Duration(part*golden&0xffff) >> 16
}

// renew writes the lease once.
func (p *part) renew(ctx context.Context, rev, n uint64) (uint64, error) {
	p.mu.Lock()
	begun, closed, skew := p.begun, p.closed, p.skew
	p.mu.Unlock()
	next := p.part.Allowed()
	if !begun.IsZero() && !closed && p.ctx.Err() == nil {
		if m, further := p.part.Next(p.s.Clock.Now().Sub(begun) + ahead); further {
			next = m
		}
	}
	l := lease{Worker: p.s.ID, Renewed: n, Mark: markOf(next), Counts: p.part.Counts(), Skew: skew, RTT: p.off.rtt, Closed: closed}
	l.Mark.Place = max(l.Mark.Place, p.o.From)
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	rev, err := p.s.leases.Update(ctx, p.key(), encode(&l), rev)
	if err == nil && next.Place > p.part.Allowed().Place || err == nil && next.End {
		p.part.Allow(next)
	}
	return rev, err
}

// look finds out whether the lease is still ours, and its revision.
func (p *part) look(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	value, rev, err := p.s.leases.Get(ctx, p.key())
	switch {
	case errors.Is(err, bus.ErrNotFound): // a bus that has forgotten everything
		return 0, errLost
	case err != nil:
		return 0, err
	}
	var l lease
	if err := decode(value, &l); err != nil || l.Lost || l.Worker != p.s.ID {
		return 0, errLost
	}
	return rev, nil
}
