package injector

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("throttle", func() Fault { return new(Throttle) })

// Throttle lets bytes pass slowly: each exchange on its own, not all of them together.
type Throttle struct {
	Rate conf.Bytes `yaml:"rate"` // required: bytes a second
	Side string     `yaml:"side"` // request, or response (empty means that)
}

// Decide implements Fault.
func (t *Throttle) Decide(Op, *rand.Rand) traffic.Action {
	return shaped(t.Side, traffic.Shape{Rate: int64(t.Rate)})
}

func (t *Throttle) check() error {
	if t.Rate <= 0 {
		return errors.New("rate: say how many bytes pass in a second, such as 64KiB")
	}
	return checkSide(t.Side)
}

// String is the strength in words.
func (t *Throttle) String() string {
	if t.Side == SideRequest {
		return fmt.Sprintf("%s/s of the request", t.Rate)
	}
	return fmt.Sprintf("%s/s of the answer", t.Rate)
}
