package replayer

import (
	"context"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A Rehearsal is what a replay would do.
type Rehearsal struct {
	Ledger   traffic.Ledger // passed is what would be sent
	Sessions uint64         // exact up to 2^20 of them
	Disorder uint64         // too far out of order to be sent at their time
	Length   time.Duration  // due time of the last request
}

// Rehearse does all that Run does but sending: it reads src to its end, makes every request and its due time, and
// tells what came of it. Nobody is connected to.
func Rehearse(ctx context.Context, cfg Config, src traffic.Source) (*Rehearsal, error) {
	cfg.UnsafeTarget = true // nobody is sent to
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	more := make(chan struct{}, 1)
	r.ahead = newAhead(1<<20, 1, func(int) { token(more) })
	r.feed = r.newFeed(src)
	feeding := spawn(func() error { return r.feed.run(ctx) })
	var items []*item
	last := time.Duration(0)
	for ended := false; !ended; {
		items, ended = r.ahead.take(0, closedBatch, items[:0])
		for _, it := range items {
			last = it.due
			r.window.give(it.cost)
			it.clean()
		}
		r.stock.give(items)
		if len(items) == 0 && !ended {
			<-more // the feed ends with ctx
		}
	}
	err = <-feeding
	out := &Rehearsal{Ledger: r.feed.ledger, Sessions: r.feed.sessions, Disorder: r.feed.disorder, Length: last}
	out.Ledger.Stage = ledgerStage
	passOver(&out.Ledger, src)
	out.Ledger.Passed = r.feed.planned
	passOver(&out.Ledger, src)
	out.Ledger.Drop(DropInterrupted, uint64(len(r.feed.left())))
	return out, err
}
