package fleet

import (
	"context"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// An offset is how far another clock is ahead of ours, as well as it can be told.
//
//	ours     t0 ────────────────── t3
//	theirs        └─► their time ─┘       offset = theirs - (t0+t3)/2, right to (t3-t0)/2
//
// Of several exchanges the fastest is believed: what made others slow lay on one side, and nobody knows on which.
type offset struct {
	by  time.Duration // add it to ours for theirs
	rtt time.Duration // of the fastest exchange
}

// measure asks n times, with a pause between.
func measure(ctx context.Context, c clock.Clock, n int, ask func(context.Context) (time.Time, error)) (best offset, err error) {
	for i := range n {
		t0 := c.Now()
		theirs, err := ask(ctx)
		t3 := c.Now()
		if err != nil {
			return offset{}, err
		}
		if rtt := t3.Sub(t0); i == 0 || rtt < best.rtt {
			// Round(0): their time has no monotonic part, so ours must not count either.
			best = offset{by: theirs.Sub(t0.Round(0).Add(rtt / 2)), rtt: rtt}
		}
		if err := c.SleepUntil(ctx, t3.Add(2*time.Millisecond)); err != nil {
			return offset{}, err
		}
	}
	return best, nil
}
