package injector

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("corrupt", func() Fault { return new(Corrupt) })

// Corrupt changes bytes of the body of an answer. The length stays. Which bytes, and into what, is this exchange's
// luck and does not depend on the pieces in which the body comes.
type Corrupt struct {
	Density conf.Share `yaml:"density"` // of the bytes that change; 0 means 1%. One of the first 16 always does
}

// Decide implements Fault.
func (c *Corrupt) Decide(_ Op, r *rand.Rand) traffic.Action {
	next := r.IntN(16) // bytes until the next that changes
	piece := func(b []byte) {
		for next < len(b) {
			b[next] ^= byte(1 + r.IntN(255)) // never the same as before
			next += 1 + c.gap(r)
		}
		next -= len(b)
	}
	return traffic.Action{Harm: &traffic.Harm{Patch: &traffic.Patch{Piece: piece}}}
}

// gap draws how many bytes stay between two that change: geometric, as if each had rolled its own dice, at the
// cost of one draw for all of them.
func (c *Corrupt) gap(r *rand.Rand) int {
	d := c.density()
	if d >= 1 {
		return 0
	}
	return int(min(math.Log(1-r.Float64())/math.Log1p(-d), math.MaxInt32))
}

func (c *Corrupt) density() float64 { return float64(cmp.Or(c.Density, 0.01)) }

func (c *Corrupt) check() error {
	if !(c.Density >= 0 && c.Density <= 1) {
		return fmt.Errorf("density: want 0%% to 100%%, found %v", float64(c.Density))
	}
	return nil
}

// String is the strength in words.
func (c *Corrupt) String() string { return conf.Share(c.density()).String() + " of the bytes" }
