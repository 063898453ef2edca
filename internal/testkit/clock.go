package testkit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// A Clock is the machine's, set forward and back by a test. Its times have no monotonic part, so that a step shows
// everywhere.
type Clock struct{ off atomic.Int64 }

// Step sets the clock forward, or back.
func (c *Clock) Step(d time.Duration) { c.off.Add(int64(d)) }

// Now is the time on the clock.
func (c *Clock) Now() time.Time {
	return clock.System.Now().Add(time.Duration(c.off.Load())).Round(0)
}

// SleepUntil waits as long as t was away when it began: a step does not wake the sleeper, as with a real clock.
func (c *Clock) SleepUntil(ctx context.Context, t time.Time) error {
	return clock.System.SleepUntil(ctx, clock.System.Now().Add(t.Sub(c.Now())))
}
