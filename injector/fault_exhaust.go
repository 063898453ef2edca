package injector

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

const kindExhaust = "exhaust"

var _ = register(kindExhaust, func() Fault { return new(Exhaust) })

// Exhaust makes all that it strikes share a pool of connections that is too small. Who finds a place in it goes on
// and keeps it until the exchange is over; who finds none waits in vain and is refused.
type Exhaust struct {
	Connections uint64        `yaml:"connections"` // required: exchanges that go on at a time
	Wait        time.Duration `yaml:"wait"`        // of those that find the pool empty; a place that comes free is not theirs
	Status      int           `yaml:"status"`      // they get then; 0 means 503
}

func (e *Exhaust) seats() uint64 { return e.Connections }

// Decide implements Fault.
func (e *Exhaust) Decide(op Op, _ *rand.Rand) traffic.Action {
	if !op.Full {
		return traffic.Action{}
	}
	return traffic.Action{Wait: e.Wait, Reply: traffic.Reply{Status: cmp.Or(e.Status, 503), Body: "no connection is free: an injected fault\n"}}
}

func (e *Exhaust) check() error {
	switch {
	case e.Connections == 0 || e.Connections > maxActive:
		return errors.New("connections: say how many there are, such as 5")
	case e.Wait < 0 || e.Wait > MaxTTL:
		return fmt.Errorf("wait: want 0 to %s, found %s", MaxTTL, e.Wait)
	case e.Status != 0 && (e.Status < 200 || e.Status > 599):
		return fmt.Errorf("status: want 200 to 599, found %d", e.Status)
	}
	return nil
}

// String is the strength in words.
func (e *Exhaust) String() string { return fmt.Sprintf("%d at a time", e.Connections) }
