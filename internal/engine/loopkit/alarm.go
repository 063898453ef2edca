package loopkit

import (
	"context"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// An Alarm is the alarm of a loop that does not wait in a call of its own: a thread that sleeps for it. Run must be
// running for it to fire.
type Alarm struct {
	fire func()        // on the goroutine of Run, which is a thread of its own
	news chan struct{} // a token when at has changed

	mu sync.Mutex
	at time.Time // zero: not set
}

// NewAlarm makes an Alarm that calls fire.
func NewAlarm(fire func()) *Alarm { return &Alarm{fire: fire, news: make(chan struct{}, 1)} }

// Set has fire called d from now, in place of what it was set to; d < 0 stops it. It may be called at any time. What is
// set to an earlier time when less than deaf is left of the old one fires at that.
func (a *Alarm) Set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at = (time.Time{}); d >= 0 {
		a.at = time.Now().Add(d)
	}
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// deaf is how long before an alarm its thread sleeps without listening, to wake on time.
const deaf = 4 * time.Millisecond

// Run waits until ctx is done.
func (a *Alarm) Run(ctx context.Context) {
	defer clock.LockThread()()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		a.mu.Lock()
		at := a.at
		a.mu.Unlock()
		var soon <-chan time.Time
		if !at.IsZero() {
			left := time.Until(at)
			if left <= deaf {
				if clock.Precise.SleepUntil(ctx, at) == nil && a.due() {
					a.fire()
				}
				continue
			}
			timer.Reset(left - deaf)
			soon = timer.C
		}
		select {
		case <-soon:
		case <-a.news:
		case <-ctx.Done():
		}
	}
}

// due reports whether it is to fire now, and then it is not set any more.
func (a *Alarm) due() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() || time.Until(a.at) > 0 {
		return false
	}
	a.at = time.Time{}
	return true
}
