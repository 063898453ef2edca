package injector

import (
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("stall", func() Fault { return new(Stall) })

// Stall makes connections that never get on: those to the service fail after the connect timeout, those of
// callers stay open and nothing is read from them, so that a TLS handshake never ends.
type Stall struct {
	At string `yaml:"at"` // service (empty means that) or caller
}

// Decide implements Fault.
func (*Stall) Decide(Op, *rand.Rand) traffic.Action {
	return traffic.Action{Harm: &traffic.Harm{Connect: traffic.ConnectStalled}}
}

// AtAccept implements connFault.
func (s *Stall) AtAccept() bool { return s.At == AtCaller }

// DecideConn implements connFault.
func (*Stall) DecideConn(ConnOp, *rand.Rand) traffic.Welcome { return traffic.Welcome{Stall: true} }

func (s *Stall) check() error { return checkAt(s.At) }

// String is the strength in words.
func (s *Stall) String() string {
	if s.AtAccept() {
		return "callers' connections stall"
	}
	return "the service's connections stall"
}
