package injector

import (
	"cmp"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("retry-storm", func() Fault { return new(RetryStorm) })

// RetryStorm sends a request again, and again, as long as its answers fail: 5xx or none. It is what impatient
// callers without a retry budget do to a service that is down already, and nothing to one that is well.
type RetryStorm struct {
	Retries int `yaml:"retries"` // at most, each at once after the one before has failed; 0 means 3
}

// Decide implements Fault.
func (s *RetryStorm) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Harm: &traffic.Harm{Copies: s.retries(), Failed: true}}
}

func (s *RetryStorm) retries() int { return cmp.Or(s.Retries, 3) }

func (s *RetryStorm) check() error { return checkCopies("retries", float64(s.Retries)) }

// String is the strength in words.
func (s *RetryStorm) String() string { return fmt.Sprintf("%d retries of what fails", s.retries()) }
