package replayer

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/hdr"
)

// Progress is how a run stands, for people who watch.
type Progress struct {
	Elapsed  time.Duration // since due time 0
	Released uint64        // requests that have been due
	Sent     uint64
	Answered uint64
	Failed   uint64 // no answer, or 500 and above
	Waiting  uint64 // due, and neither answered nor failed

	// Of the last second.
	Asked, Achieved float64       // requests due and sent, per second
	P99, LagP99     time.Duration // latency from the due time, and lag; of those due then and over by now
}

// A reporter calls Config.Progress once a second.
type reporter struct {
	clock  clock.Clock
	start  time.Time
	pacer  *pacer
	driver engine.Driver
	books  []*book
	report func(Progress)
}

func (r *reporter) run(ctx context.Context) {
	var last Progress
	for second := 0; ; second++ {
		if r.clock.SleepUntil(ctx, r.start.Add(time.Duration(second+1)*time.Second)) != nil {
			return
		}
		p := r.look(second)
		if took := (p.Elapsed - last.Elapsed).Seconds(); took > 0 {
			p.Asked = float64(p.Released-last.Released) / took
			p.Achieved = float64(p.Sent-last.Sent) / took
		}
		last = p
		r.report(p)
	}
}

// look counts, and asks every loop for the times of the second that has just ended.
func (r *reporter) look(second int) (p Progress) {
	p.Released = r.pacer.released.Load()
	p.Elapsed = r.clock.Now().Sub(r.start)
	for _, b := range r.books {
		p.Sent += b.live.sent.Load()
		p.Failed += b.live.failed.Load()
		p.Answered += b.live.answered.Load()
		p.Waiting += b.live.over.Load()
	}
	p.Waiting = max(p.Released, p.Waiting) - p.Waiting
	// A loop may still run what was posted here when the driver ends and Each stops waiting for it.
	merged := make(chan [2]hdr.Hist, len(r.books))
	r.driver.Each(func(_ engine.Loop, h engine.Handler) {
		var part [2]hdr.Hist
		for key, c := range h.(*client).book.cells {
			if key.second == second {
				part[0].Merge(&c.Due)
				part[1].Merge(&c.Lag)
			}
		}
		merged <- part
	})
	var due, lag hdr.Hist
	for range len(merged) {
		part := <-merged
		due.Merge(&part[0])
		lag.Merge(&part[1])
	}
	p.P99, p.LagP99 = due.Quantile(0.99), lag.Quantile(0.99)
	return p
}

// String is p on one line.
func (p Progress) String() string {
	return fmt.Sprintf("%4.0fs  due %.0f/s  sent %.0f/s  answered %d  failed %d  waiting %d  p99 from due %v  p99 lag %v",
		p.Elapsed.Seconds(), p.Asked, p.Achieved, p.Answered, p.Failed, p.Waiting,
		p.P99.Round(10*time.Microsecond), p.LagP99.Round(10*time.Microsecond))
}
