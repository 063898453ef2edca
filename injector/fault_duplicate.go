package injector

import (
	"cmp"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("duplicate", func() Fault { return new(Duplicate) })

// Duplicate sends a request more than once, as a network or a queue that delivers at least once does. The caller
// gets one answer; those to the copies are thrown away.
type Duplicate struct {
	Copies int `yaml:"copies"` // beside the request; 0 means 1
}

// Decide implements Fault.
func (d *Duplicate) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Harm: &traffic.Harm{Copies: d.copies()}}
}

func (d *Duplicate) copies() int { return cmp.Or(d.Copies, 1) }

func (d *Duplicate) check() error { return checkCopies("copies", float64(d.Copies)) }

// String is the strength in words.
func (d *Duplicate) String() string { return fmt.Sprintf("sent %d times", 1+d.copies()) }

// maxCopies bounds what one request can become.
const maxCopies = 1000

func checkCopies(key string, n float64) error {
	if !(n >= 0 && n <= maxCopies) {
		return fmt.Errorf("%s: want 0 to %d, found %v", key, maxCopies, n)
	}
	return nil
}
