package injector

import (
	"fmt"

	"github.com/redlane/redlane/traffic"
)

// The sides of an exchange: a fault's side parameter.
const (
	SideRequest  = "request"  // on the way to the service
	SideResponse = "response" // on the way back
)

func checkSide(side string) error {
	if side != "" && side != SideRequest && side != SideResponse {
		return fmt.Errorf("side: want %s or %s, found %q", SideRequest, SideResponse, side)
	}
	return nil
}

// shaped is the Action that shapes one side and lets the other be.
func shaped(side string, s traffic.Shape) traffic.Action {
	f := new(fixed)
	if side == SideRequest {
		f[traffic.Upstream] = s
	} else {
		f[traffic.Downstream] = s
	}
	return traffic.Action{Harm: &traffic.Harm{Shaper: f}}
}

// fixed is a Shaper that does the same all the time.
type fixed [2]traffic.Shape

func (f *fixed) Shape(d traffic.Direction) traffic.Shape { return f[d] }
