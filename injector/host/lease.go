package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// Silence is how long a lease outlives its last renewal, and an offset of a clock what wrote it.
const Silence = injector.Grace

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// A Lease asks for a fault. It is one flat JSON object, the fault's parameters beside the rest:
//
//	{"fault": "pause", "target": "packet-red", "lane": "red", "ttl": "10s"}
type Lease struct {
	ID     string        // empty: the Agent gives it one
	Fault  Fault         // required
	Target string        // required: a name in the agent's configuration
	Lane   traffic.Color // required: the target's own, so that a name in the wrong configuration hits nothing
	TTL    time.Duration // required; the whole life of the lease
	Text   json.RawMessage
}

type leaseText struct {
	ID         string        `yaml:"id"`
	Fault      string        `yaml:"fault"`
	Target     string        `yaml:"target"`
	Lane       string        `yaml:"lane"`
	TTL        time.Duration `yaml:"ttl"`
	Parameters []conf.Entry  `yaml:",rest"`
}

// UnmarshalConf reads a lease strictly: the parameters must be the fault's own.
func (l *Lease) UnmarshalConf(v conf.Value) error {
	var t leaseText
	if err := v.Decode(&t); err != nil {
		return err
	}
	if t.Fault == "" {
		return v.Errorf("fault: say which: %s", strings.Join(Faults(), ", "))
	}
	make, ok := registry[t.Fault]
	if !ok {
		return v.Errorf("no fault %q%s", t.Fault, meant(t.Fault, Faults()))
	}
	fault := make()
	if err := conf.DecodeRest(t.Parameters, fault, "id", "fault", "target", "lane", "ttl"); err != nil {
		return err
	}
	*l = Lease{ID: t.ID, Fault: fault, Target: t.Target, Lane: traffic.Color(t.Lane), TTL: t.TTL}
	return nil
}

// ParseLease reads a lease from JSON.
func ParseLease(data []byte) (Lease, error) {
	var l Lease
	var one bytes.Buffer
	if err := json.Compact(&one, data); err != nil { // YAML takes no tabs between tokens; JSON does
		return l, fmt.Errorf("not valid JSON: %w", err)
	}
	if one.Len() == 0 || one.Bytes()[0] != '{' {
		return l, errors.New("want a JSON object")
	}
	if err := conf.Decode("", one.Bytes(), &l); err != nil {
		return l, errors.New(strings.TrimPrefix(err.Error(), ":1: ")) // the place is always the one line
	}
	l.Text = one.Bytes()
	return l, nil
}

// check returns one line that begins with the key at fault.
func (l *Lease) check(f *File) (*Target, error) {
	t := f.Targets[l.Target]
	switch {
	case l.ID != "" && !validID.MatchString(l.ID):
		return nil, fmt.Errorf("id: want letters, digits, dots, underscores and hyphens, at most 63, found %q", l.ID)
	case l.Target == "":
		return nil, errors.New("target: say which; only what the agent's configuration names can be hit")
	case t == nil:
		return nil, fmt.Errorf("target: no %q%s", l.Target, meant(l.Target, f.names()))
	case l.Lane == "":
		return nil, errors.New("lane: say which; only what belongs to a lane can be hit")
	case l.Lane == "baseline":
		return nil, errors.New("lane: the baseline cannot be hit")
	case l.Lane != t.Lane:
		return nil, fmt.Errorf("lane: target %s belongs to lane %s, not to %q", t.Name, t.Lane, l.Lane)
	case l.TTL <= 0:
		return nil, errors.New("ttl: say how long, such as 30s; a fault without an end is not offered")
	case l.TTL > f.Caps.TTL:
		return nil, fmt.Errorf("ttl: %s is above the maximum of %s", l.TTL, f.Caps.TTL)
	}
	return t, l.Fault.check(t)
}
