package injector

import (
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("blackhole", func() Fault { return new(Blackhole) })

// Blackhole never answers. The connection stays open until the caller gives up, or the lease is over: then a
// request that was held back goes on to the service.
type Blackhole struct {
	Side string `yaml:"side"` // request (empty means that): the service never sees it; response: it does, in vain
}

// Decide implements Fault.
func (b *Blackhole) Decide(Op, *rand.Rand) traffic.Action {
	if b.Side == SideResponse {
		return shaped(SideResponse, traffic.Shape{Hole: true})
	}
	return traffic.Action{Harm: &traffic.Harm{Hole: true}}
}

func (b *Blackhole) check() error { return checkSide(b.Side) }

// String is the strength in words.
func (b *Blackhole) String() string {
	if b.Side == SideResponse {
		return "the answer never comes"
	}
	return "never answered"
}
