package injector

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("abort", func() Fault { return new(Abort) })

// Abort answers in place of the service, which never sees the request.
type Abort struct {
	Status int      `yaml:"status"` // 200 to 599; 0 means 503
	GRPC   GRPCCode `yaml:"grpc"`   // in place of status: a gRPC call fails so, which is an answer of status 200
	Body   string   `yaml:"body"`   // empty means a line that says it was a fault
	Type   string   `yaml:"type"`   // of the body; empty means text/plain
}

// Decide implements Fault.
func (a *Abort) Decide(Op, *rand.Rand) traffic.Action {
	if a.GRPC != 0 {
		// Trailers only: where no message comes, status and head are one (gRPC over HTTP/2, Responses).
		return traffic.Action{
			Reply: traffic.Reply{Status: 200},
			Harm: &traffic.Harm{Headers: []traffic.Header{
				{Name: []byte("content-type"), Value: []byte("application/grpc")},
				{Name: []byte("grpc-status"), Value: []byte(fmt.Sprint(int(a.GRPC)))},
				{Name: []byte("grpc-message"), Value: []byte("aborted by an injected fault")},
			}},
		}
	}
	act := traffic.Action{Reply: traffic.Reply{Status: a.status(), Body: cmp.Or(a.Body, "aborted by an injected fault\n")}}
	if a.Type != "" {
		act.Harm = &traffic.Harm{Headers: []traffic.Header{{Name: []byte("content-type"), Value: []byte(a.Type)}}}
	}
	return act
}

func (a *Abort) status() int { return cmp.Or(a.Status, 503) }

// String is the strength in words.
func (a *Abort) String() string {
	if a.GRPC != 0 {
		return "gRPC status " + a.GRPC.String()
	}
	return fmt.Sprintf("status %d", a.status())
}

func (a *Abort) check() error {
	switch {
	case a.Status != 0 && (a.Status < 200 || a.Status > 599):
		return fmt.Errorf("status: want 200 to 599, found %d", a.Status)
	case a.GRPC != 0 && (a.Status != 0 || a.Body != "" || a.Type != ""):
		return errors.New("grpc: stands alone, without status, body and type")
	case len(a.Body) > maxAbortBody:
		return fmt.Errorf("body: at most %d bytes", maxAbortBody)
	}
	return checkHeaderValue("type", a.Type)
}

const maxAbortBody = 16 << 10
