package injector

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redlane/redlane/traffic"
)

var _ = register("stale", func() Fault { return new(Stale) })

// What a Stale answer has in common with the one asked for.
const (
	SameTarget = "target" // all of the path and the query
	SameRoute  = "route"  // the lease's route: somebody else's answer, as from a cache with a wrong key
)

// Stale answers with what the service answered before: the first good answer since the lease began that has the same
// method, and the same target or route. Where there is none yet the request goes on, and its answer is kept.
//
//	GET /packets/17 ─► service ─► 200 {"left": 3}     kept
//	GET /packets/17 ─► 200 {"left": 3}                whatever is left by now
type Stale struct {
	Same string `yaml:"same"` // target (empty means that) or route, which the lease must have then
}

// Decide implements Fault.
func (*Stale) Decide(op Op, _ *rand.Rand) traffic.Action {
	if op.Earlier == nil {
		return traffic.Action{}
	}
	return traffic.Action{
		Reply: traffic.Reply{Status: op.Earlier.Status, Body: op.Earlier.Body},
		Harm:  &traffic.Harm{Headers: op.Earlier.Headers},
	}
}

// key is what answers are kept under.
func (s *Stale) key(x *traffic.Exchange) string {
	key := x.Src + " " + x.Dst + " " + string(x.Request.Method)
	if s.Same == SameRoute {
		return key
	}
	return key + " " + string(x.Request.Target)
}

func (s *Stale) check() error {
	if s.Same != "" && s.Same != SameTarget && s.Same != SameRoute {
		return fmt.Errorf("same: want %s or %s, found %q", SameTarget, SameRoute, s.Same)
	}
	return nil
}

// checkLease looks at what only makes sense together.
func (s *Stale) checkLease(l *Lease) error {
	if s.Same == SameRoute && l.Route == "" {
		return errors.New("same: a route can only be the same where the lease has one; say which")
	}
	return nil
}

// String is the strength in words.
func (s *Stale) String() string {
	if s.Same == SameRoute {
		return "an earlier answer of the route"
	}
	return "an earlier answer"
}
