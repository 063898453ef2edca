package injector

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("tls", func() Fault { return new(TLS) })

// The modes of TLS.
const (
	TLSExpired   = "expired"    // the certificate's time is over since yesterday
	TLSWrongName = "wrong-name" // it is another host's
	TLSStalled   = "stalled"    // the handshake never gets on
)

// TLS breaks the handshake of connections that callers open to a service spoken to in TLS. What it presents is
// signed by Config.Issue: where callers do not trust that, they refuse it for that reason too.
type TLS struct {
	Mode string `yaml:"mode"` // required
}

// Decide implements Fault. It does nothing to exchanges.
func (*TLS) Decide(Op, *rand.Rand) traffic.Action { return traffic.Action{} }

// AtAccept implements connFault.
func (*TLS) AtAccept() bool { return true }

// DecideConn implements connFault.
func (f *TLS) DecideConn(op ConnOp, _ *rand.Rand) (w traffic.Welcome) {
	const day = 24 * time.Hour
	name, from, to := op.Callee, op.At.Add(-90*day), op.At.Add(90*day)
	switch {
	case !op.TLS:
		return w
	case f.Mode == TLSStalled:
		return traffic.Welcome{Stall: true}
	case f.Mode == TLSExpired:
		to = op.At.Add(-day)
	default:
		name = "wrong-name.invalid" // RFC 6761: nobody's
	}
	if c, err := op.Issue(name, from, to); err == nil {
		w.Certificate = c
	}
	return w
}

func (f *TLS) check() error {
	switch f.Mode {
	case TLSExpired, TLSWrongName, TLSStalled:
		return nil
	}
	return fmt.Errorf("mode: want %s, %s or %s, found %q", TLSExpired, TLSWrongName, TLSStalled, f.Mode)
}

// String is the strength in words.
func (f *TLS) String() string { return f.Mode }
