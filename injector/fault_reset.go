package injector

import (
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("reset", func() Fault { return new(Reset) })

// Reset ends the caller's connection with a TCP reset and no answer. The service never sees the request.
type Reset struct{}

// Decide implements Fault.
func (*Reset) Decide(Op, *rand.Rand) traffic.Action { return traffic.Action{Reset: true} }

// String is the strength in words.
func (*Reset) String() string { return "no answer" }
