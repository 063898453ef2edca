package injector

import (
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("latency", func() Fault { return new(Latency) })

// Latency is Delay by its older name.
type Latency Delay

// Decide implements Fault.
func (l *Latency) Decide(op Op, r *rand.Rand) traffic.Action { return (*Delay)(l).Decide(op, r) }

func (l *Latency) check() error { return (*Delay)(l).check() }

// String is the strength in words.
func (l *Latency) String() string { return (*Delay)(l).String() }
