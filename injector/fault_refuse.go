package injector

import (
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("refuse", func() Fault { return new(Refuse) })

// Where a fault of connections stands: its at parameter.
const (
	AtService = "service" // between the proxy and the service, for each exchange struck: the caller gets what the proxy answers then
	AtCaller  = "caller"  // between the caller and the proxy, as its connection opens; see Lease about whose
)

func checkAt(at string) error {
	if at != "" && at != AtService && at != AtCaller {
		return fmt.Errorf("at: want %s or %s, found %q", AtService, AtCaller, at)
	}
	return nil
}

// Refuse makes connections fail at once, as if nothing listened.
type Refuse struct {
	At string `yaml:"at"` // service (empty means that) or caller
}

// Decide implements Fault.
func (*Refuse) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Harm: &traffic.Harm{Connect: traffic.ConnectRefused}}
}

// AtAccept implements connFault.
func (f *Refuse) AtAccept() bool { return f.At == AtCaller }

// DecideConn implements connFault.
func (*Refuse) DecideConn(ConnOp, *rand.Rand) traffic.Welcome { return traffic.Welcome{Refuse: true} }

func (f *Refuse) check() error { return checkAt(f.At) }

// String is the strength in words.
func (f *Refuse) String() string {
	if f.AtAccept() {
		return "callers' connections are refused"
	}
	return "the service's connections are refused"
}
