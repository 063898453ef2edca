package replayer

import (
	"context"
	"errors"
	"time"

	"github.com/redlane/redlane/internal/engine"
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

func (r *run) post(loop int, batch []*item, opens []uint64) {
	r.outstanding.Add(len(batch))
	if r.clients[loop].put(batch, opens) {
		r.driver.Post(loop, drainEvent)
	}
}

func (r *run) report(ctx context.Context, start time.Time) {
	if r.cfg.Progress == nil {
		return
	}
	rep := &reporter{clock: r.cfg.Clock, start: start, pacer: r.pacer, driver: r.driver, report: r.cfg.Progress}
	for _, c := range r.clients {
		rep.books = append(rep.books, c.book)
	}
	rep.run(ctx)
}

// finish waits for what has been released, within Config.Grace. ctx may be done already.
//
//	end of schedule   sessions go on sending what was due ── grace ──► unsent, unanswered
//	ctx done          what is not sent is interrupted     ── grace ──► unanswered
func (r *run) finish(ctx context.Context) (interrupted bool) {
	r.over = ended(r.outstanding.Wait)
	graceCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
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
		r.stop(dropInterrupted)
		select {
		case <-r.over:
		case <-grace:
		}
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

// result closes the books. Nothing of the run is left but its memory.
func (r *run) result(start time.Time, last time.Duration, interrupted bool, errs ...error) (*Result, error) {
	res := &Result{
		To: r.cfg.To, Lane: r.cfg.Lane, Rate: r.cfg.Rate.String(), Seed: r.cfg.Seed, Workers: len(r.clients),
		Started: start, Elapsed: max(0, r.cfg.Clock.Now().Sub(start)), LagLimit: r.cfg.LagLimit,
		Ledger:   r.feed.ledger,
		Sessions: r.feed.sessions, Exhausted: r.feed.exhausted, ReadLate: r.feed.late, Disorder: r.feed.disorder,
		Interrupted: interrupted || !r.feed.whole,
	}
	res.Ledger.Stage = "replay"
	left := append(r.ahead.drain(), r.feed.left()...)
	res.Ledger.Drop(dropInterrupted, uint64(len(left)))
	var books []*book
	var sent uint64
	lastSent := time.Duration(0)
	for _, c := range r.clients {
		c.settle(dropInterrupted)
		books = append(books, c.book)
		sent += c.book.live.sent.Load()
		lastSent = max(lastSent, c.book.lastSent)
	}
	<-r.over
	collect(res, books)
	res.Asked = perSecond(r.pacer.released.Load(), last)
	res.Achieved = perSecond(sent, lastSent)
	return res, errors.Join(errs...)
}

// perSecond is the rate of n events of which the first was at 0 and the last at end.
func perSecond(n uint64, end time.Duration) float64 {
	if n < 2 || end <= 0 {
		return 0
	}
	return float64(n-1) / end.Seconds()
}
