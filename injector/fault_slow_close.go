package injector

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("slow-close", func() Fault { return new(SlowClose) })

// SlowClose passes the end of an answer on late: its last chunk, its last byte or the end of the connection,
// whichever tells the caller that these were all. Of a request and of opaque streams it is the end of the connection.
type SlowClose struct {
	Delay time.Duration `yaml:"delay"` // required
	Side  string        `yaml:"side"`  // request, or response (empty means that)
}

// Decide implements Fault.
func (s *SlowClose) Decide(Op, *rand.Rand) traffic.Action {
	return shaped(s.Side, traffic.Shape{Linger: s.Delay})
}

func (s *SlowClose) check() error {
	if s.Delay <= 0 || s.Delay > MaxTTL {
		return errors.New("delay: say how long, such as 1s, and no longer than a lease lasts")
	}
	return checkSide(s.Side)
}

// String is the strength in words.
func (s *SlowClose) String() string { return "the end comes " + s.Delay.String() + " late" }
