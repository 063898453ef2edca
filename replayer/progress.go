package replayer

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
)

// Progress is how a run stands, for people who watch.
type Progress struct {
	Elapsed  time.Duration // since due time 0
	Read     uint64        // exchanges of the recording
	Refused  uint64        // of them, cannot be sent
	Released uint64        // requests that have been due
	Sent     uint64
	Answered uint64
	Failed   uint64         // no answer, or 500 and above
	Waiting  uint64         // due, and neither answered nor failed
	Errors   Errors         // of Failed
	Statuses map[int]uint64 // answers by status; the receiver's to keep

	// Left is until the last request is due, as far as the recording has been read; Whole says that it has been
	// read to its end.
	Left  time.Duration
	Whole bool

	// Of the last second.
	Asked, Achieved float64       // requests due and sent, per second
	P50, P99        time.Duration // latency from the due time, of those over in it
	LagP50, LagP99  time.Duration // from the due time to sending, of those over in it
}

// A reporter takes the loops' cells once a second, and calls Config.Progress when there is one.
type reporter struct {
	clock  clock.Clock
	start  time.Time
	ahead  *ahead
	feed   *feed
	driver engine.Driver
	keeper *keeper
	report func(Progress)
}

func (r *reporter) run(ctx context.Context) {
	var last Progress
	for second := 1; ; second++ {
		if r.clock.SleepUntil(ctx, r.start.Add(time.Duration(second)*time.Second)) != nil {
			return
		}
		recent := r.keeper.sweep(r.driver)
		if r.report == nil {
			continue
		}
		p := r.look(&recent)
		if took := (p.Elapsed - last.Elapsed).Seconds(); took > 0 {
			p.Asked = float64(p.Released-last.Released) / took
			p.Achieved = float64(p.Sent-last.Sent) / took
		}
		last = p
		r.report(p)
	}
}

// look counts. recent is what was over in the last second.
func (r *reporter) look(recent *Stats) (p Progress) {
	p.Released, _ = r.ahead.released()
	p.Elapsed = r.clock.Now().Sub(r.start)
	p.Read, p.Refused = r.feed.live.accepted.Load(), r.feed.live.refused.Load()
	p.Whole = r.feed.live.ended.Load() // before until, which does not change after it
	p.Left = max(0, time.Duration(r.feed.live.until.Load())-p.Elapsed)
	for _, b := range r.keeper.books {
		p.Sent += b.live.sent.Load()
		p.Failed += b.live.failed.Load()
		p.Answered += b.live.answered.Load()
		p.Waiting += b.live.over.Load()
	}
	p.Waiting = max(p.Released, p.Waiting) - p.Waiting
	p.Errors, p.Statuses = r.keeper.total.Errors, maps.Clone(r.keeper.statuses)
	p.P50, p.P99 = recent.Due.Quantile(0.5), recent.Due.Quantile(0.99)
	p.LagP50, p.LagP99 = recent.Lag.Quantile(0.5), recent.Lag.Quantile(0.99)
	return p
}

// String is p on one line.
func (p Progress) String() string {
	return fmt.Sprintf("%4.0fs  due %.0f/s  sent %.0f/s  answered %d  failed %d  waiting %d  p99 from due %v  p99 lag %v",
		p.Elapsed.Seconds(), p.Asked, p.Achieved, p.Answered, p.Failed, p.Waiting,
		p.P99.Round(10*time.Microsecond), p.LagP99.Round(10*time.Microsecond))
}
