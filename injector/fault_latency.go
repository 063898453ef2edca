package injector

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("latency", func() Fault { return new(Latency) })

// Latency holds the request back before it goes on.
//
//	delay-jitter     delay     delay+jitter
//	     ├─────────────┼─────────────┤   every value as likely as the others
type Latency struct {
	Delay  time.Duration `yaml:"delay"`  // required
	Jitter time.Duration `yaml:"jitter"` // at most Delay
}

// Decide implements Fault.
func (l *Latency) Decide(_ Op, r *rand.Rand) traffic.Action {
	wait := l.Delay
	if l.Jitter > 0 {
		wait += time.Duration(r.Int64N(2*int64(l.Jitter)+1)) - l.Jitter
	}
	return traffic.Action{Wait: wait}
}

func (l *Latency) check() error {
	switch {
	case l.Delay <= 0:
		return errors.New("delay: say how long, such as 50ms")
	case l.Delay > MaxTTL:
		return errors.New("delay: longer than any lease lasts")
	case l.Jitter < 0 || l.Jitter > l.Delay:
		return errors.New("jitter: must be between 0 and delay")
	}
	return nil
}

// String is the strength in words.
func (l *Latency) String() string {
	if l.Jitter == 0 {
		return l.Delay.String()
	}
	return l.Delay.String() + " ± " + l.Jitter.String()
}
