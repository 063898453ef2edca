// Package clock is the only place that reads or waits for time. Everything else is handed a Clock, so
// that a run can be repeated and a test need not sleep.
package clock

import (
	"context"
	"time"
)

// A Clock tells the time and waits for it.
type Clock interface {
	// Now is the current time with a monotonic part.
	Now() time.Time
	// SleepUntil returns nil when t has come, or ctx's error when that ends first.
	SleepUntil(ctx context.Context, t time.Time) error
}

// System is the machine's clock. Its sleeps end up to about 1 ms late, because the Go runtime waits in
// whole milliseconds when idle.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) SleepUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stopwatch returns a function that tells the time since t on c. On the machine's clock it costs half of what
// Now does: one clock is read instead of two.
func Stopwatch(c Clock, t time.Time) func() time.Duration {
	if c == System || c == Precise {
		return func() time.Duration { return time.Since(t) }
	}
	return func() time.Duration { return c.Now().Sub(t) }
}
