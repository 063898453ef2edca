package injector

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("dns", func() Fault { return new(DNS) })

// DNS makes the name of the service one that cannot be resolved, also where endpoints are addresses.
type DNS struct {
	Delay time.Duration `yaml:"delay"` // until that is known
}

// Decide implements Fault.
func (d *DNS) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Wait: d.Delay, Harm: &traffic.Harm{Connect: traffic.ConnectUnnamed}}
}

func (d *DNS) check() error {
	if d.Delay < 0 || d.Delay > MaxTTL {
		return errors.New("delay: want 0 or more, and no longer than a lease lasts")
	}
	return nil
}

// String is the strength in words.
func (d *DNS) String() string {
	if d.Delay == 0 {
		return "no such name"
	}
	return "no such name, after " + d.Delay.String()
}
