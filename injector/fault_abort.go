package injector

import (
	"cmp"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("abort", func() Fault { return new(Abort) })

// Abort answers in place of the service, which never sees the request.
type Abort struct {
	Status int `yaml:"status"` // 200 to 599; 0 means 503
}

// Decide implements Fault.
func (a *Abort) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Reply: traffic.Reply{Status: a.status(), Body: "aborted by an injected fault\n"}}
}

func (a *Abort) status() int { return cmp.Or(a.Status, 503) }

// String is the strength in words.
func (a *Abort) String() string { return fmt.Sprintf("status %d", a.status()) }

func (a *Abort) check() error {
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		return fmt.Errorf("status: want 200 to 599, found %d", a.Status)
	}
	return nil
}
