package injector

import (
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("surge", func() Fault { return new(Surge) })

// Surge multiplies the load of an edge: each request struck is sent times over, on average where that is no whole
// number. The callers get their one answer each.
type Surge struct {
	Times float64 `yaml:"times"` // required, above 1: 3 is three times the load
}

// Decide implements Fault.
func (s *Surge) Decide(_ Op, r *rand.Rand) traffic.Action {
	more := s.Times - 1
	copies := int(more)
	if r.Float64() < more-float64(copies) {
		copies++
	}
	if copies == 0 {
		return traffic.Action{}
	}
	return traffic.Action{Harm: &traffic.Harm{Copies: copies}}
}

func (s *Surge) check() error {
	if !(s.Times > 1) {
		return fmt.Errorf("times: want more than 1, such as 3, found %v", s.Times)
	}
	return checkCopies("times", s.Times)
}

// String is the strength in words.
func (s *Surge) String() string { return fmt.Sprintf("%v times the load", s.Times) }
