package injector

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("truncate", func() Fault { return new(Truncate) })

// Truncate ends the connection in the middle of a body, after its beginning has arrived: what a crash or a full
// buffer does. Bodies that are shorter pass whole.
type Truncate struct {
	After conf.Bytes `yaml:"after"` // required: bytes of the body that pass
	Side  string     `yaml:"side"`  // request, or response (empty means that)
}

// Decide implements Fault.
func (t *Truncate) Decide(Op, *rand.Rand) traffic.Action {
	return shaped(t.Side, traffic.Shape{Limit: int64(t.After), End: traffic.EndClose})
}

func (t *Truncate) check() error {
	if t.After <= 0 {
		return errors.New("after: say how many bytes pass, such as 100B")
	}
	return checkSide(t.Side)
}

// String is the strength in words.
func (t *Truncate) String() string {
	if t.Side == SideRequest {
		return fmt.Sprintf("after %s of the request", t.After)
	}
	return fmt.Sprintf("after %s of the answer", t.After)
}
