package replayer

import (
	"context"
	"errors"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

// spawn runs f on a goroutine of its own and hands over what it returned.
func spawn(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// ended is closed when f has returned, on a goroutine of its own.
func ended(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// sleep is ended after d, or when ctx is done.
func (r *run) sleep(ctx context.Context, d time.Duration) <-chan struct{} {
	return ended(func() { _ = r.cfg.Clock.SleepUntil(ctx, r.cfg.Clock.Now().Add(d)) }) // either end will do
}

// waitPrimed returns when the feed has read as far ahead as it may, or for long enough, or ctx is done.
func (r *run) waitPrimed(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	slept := r.sleep(ctx, prime)
	select {
	case <-r.feed.primed:
	case <-slept:
	}
	cancel()
	<-slept
}

// begin waits until enough has been read ahead, and returns due time 0.
func (r *run) begin(ctx context.Context) (time.Time, error) {
	switch p := r.cfg.Part; {
	case p != nil && p.Agree != nil:
		r.waitPrimed(ctx)
		start, err := p.Agree(ctx)
		if err != nil {
			start = r.cfg.Clock.Now()
		}
		return start, err
	case !r.cfg.Start.IsZero():
		if r.cfg.Start.After(r.cfg.Clock.Now().Add(prime)) {
			r.waitPrimed(ctx)
		}
		return r.cfg.Start, nil
	}
	r.waitPrimed(ctx)
	return r.cfg.Clock.Now().Add(lead), nil
}

func (r *run) report(ctx context.Context, start time.Time) {
	rep := &reporter{clock: r.cfg.Clock, start: start, ahead: r.ahead, feed: r.feed, driver: r.driver, keeper: r.keeper, report: r.cfg.Progress}
	rep.run(ctx)
}

// finish waits for what has been released, within Config.Grace. ctx may be done already.
//
//	end of schedule   sessions go on sending what was due ── grace ──► unsent, unanswered
//	ctx done          what is not sent is interrupted     ── grace ──► unanswered
//	lane lost         what is not sent is lane-lost  ── lostGrace ──► unanswered
func (r *run) finish(ctx context.Context) (interrupted bool) {
	r.over = ended(r.outstanding.Wait)
	graceCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if r.cfg.Closed { // what was released is still being sent, one after the other
		select {
		case <-r.over:
		case <-ctx.Done():
		}
	}
	grace := r.sleep(graceCtx, r.cfg.Grace)
	if interrupted = ctx.Err() != nil; !interrupted {
		select {
		case <-r.over:
		case <-grace:
		case <-ctx.Done():
			interrupted = true
		}
	}
	if interrupted {
		patience := grace
		if lostLane(ctx) != nil {
			r.dropped = dropLaneLost
			patience = r.sleep(graceCtx, min(lostGrace, r.cfg.Grace))
		}
		r.stop(r.dropped)
		select {
		case <-r.over:
		case <-patience:
		case <-r.cfg.Hurry:
		}
		cancel()
		<-patience
	}
	cancel()
	<-grace
	r.stop(dropUnsent)
	r.driver.Each(func(_ engine.Loop, h engine.Handler) { h.(*client).abort() })
	return interrupted
}

func (r *run) stop(reason string) {
	r.driver.Each(func(_ engine.Loop, h engine.Handler) { h.(*client).stop(reason) })
}

const ledgerStage = "replay"

// result closes the books. Nothing of the run is left but its memory.
func (r *run) result(start time.Time, interrupted bool, errs ...error) (*Result, error) {
	released, last := r.ahead.released()
	res := &Result{
		Version: ResultVersion, RunID: r.cfg.RunID, To: r.cfg.To, Lane: r.cfg.Lane, Rate: r.cfg.Asked(), Seed: r.cfg.Seed, Workers: len(r.clients),
		Started: start, Elapsed: max(0, r.cfg.Clock.Now().Sub(start)), LagLimit: r.cfg.LagLimit,
		Ledger: r.feed.ledger, Released: released, LastDue: last,
		Sessions: r.feed.sessions, Exhausted: r.feed.exhausted, ReadLate: r.feed.late, Disorder: r.feed.disorder,
		Interrupted: interrupted || !r.feed.whole,
	}
	res.Ledger.Stage = ledgerStage
	res.Unfilled = r.feed.unfilled
	left := r.ahead.drain()
	books := r.keeper.books
	if p := r.cfg.Part; p == nil {
		passOver(&res.Ledger, r.feed.src)
		res.Ledger.Drop(r.dropped, uint64(len(left)+len(r.feed.left())))
	} else {
		res.Ledger = traffic.Ledger{}
		books = p.settle(res)
		res.Ledger.Drop(r.dropped, p.allowedOf(left))
	}
	for _, c := range r.clients {
		c.settle(r.dropped)
		if r.cfg.Part != nil {
			books = append(books, c.book)
		}
		if c.rewrite != nil {
			res.Rewritten.Add(c.rewrite.Counts())
		}
	}
	<-r.over
	keeper := r.keeper
	if r.cfg.Part != nil {
		keeper = newKeeper(r.routes, books) // of the books that no Result has yet
	}
	keeper.close(res)
	if p := r.cfg.Part; p != nil { // what was not released is not in its books: somebody else may go on with it
		p.sentUntil(res.LastSent)
		res.Ledger.Accepted = res.Ledger.Passed + res.Ledger.Lost()
	}
	res.rates()
	return res, errors.Join(errs...)
}

// rates fills in what follows from the counts.
func (r *Result) rates() {
	r.Asked = perSecond(r.Released, r.LastDue)
	r.Achieved = perSecond(r.Sent, r.LastSent)
	if r.Rate == rateClosed { // nothing is asked for
		r.Asked = r.Achieved
	}
}

// rateClosed is the Rate of a closed loop.
const rateClosed = "closed"

// perSecond is the rate of n events of which the first was at 0 and the last at end.
func perSecond(n uint64, end time.Duration) float64 {
	if n < 2 || end <= 0 {
		return 0
	}
	return float64(n-1) / end.Seconds()
}
