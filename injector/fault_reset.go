package injector

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("reset", func() Fault { return new(Reset) })

// Reset ends the caller's connection with a TCP reset.
//
//	neither              no answer, and the service never sees the request
//	side: response       the service does its work, and the answer is lost before its first byte
//	after: 1KiB          so much of the body of the answer comes, or with side: request so much of the request goes
type Reset struct {
	After conf.Bytes `yaml:"after"` // of the body; 0 is before the first byte
	Side  string     `yaml:"side"`  // request or response; empty means response where After is set
}

// Decide implements Fault.
func (f *Reset) Decide(Op, *rand.Rand) traffic.Action {
	if f.After == 0 && f.Side != SideResponse {
		return traffic.Action{Reset: true}
	}
	return shaped(f.Side, traffic.Shape{Limit: int64(f.After), End: traffic.EndReset})
}

func (f *Reset) check() error {
	if f.After < 0 {
		return errors.New("after: must not be negative")
	}
	return checkSide(f.Side)
}

// String is the strength in words.
func (f *Reset) String() string {
	switch {
	case f.After == 0 && f.Side != SideResponse:
		return "no answer"
	case f.After == 0:
		return "the answer is lost"
	case f.Side == SideRequest:
		return fmt.Sprintf("after %s of the request", f.After)
	}
	return fmt.Sprintf("after %s of the answer", f.After)
}
