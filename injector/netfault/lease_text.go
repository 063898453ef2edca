package netfault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// leaseText is a Lease as it is written; what is left over belongs to the fault.
type leaseText struct {
	ID         string        `yaml:"id"`
	Fault      string        `yaml:"fault"`
	Lane       string        `yaml:"lane"`
	From       string        `yaml:"from"`
	To         string        `yaml:"to"`
	Way        Way           `yaml:"way"`
	Mark       Mark          `yaml:"mark"`
	Seed       uint64        `yaml:"seed"`
	TTL        time.Duration `yaml:"ttl"`
	Parameters []conf.Entry  `yaml:",rest"`
}

var leaseKeys = []string{"id", "fault", "lane", "from", "to", "way", "mark", "seed", "ttl"}

// UnmarshalConf reads a lease strictly: a partition has no parameters.
func (l *Lease) UnmarshalConf(v conf.Value) error {
	var t leaseText
	if err := v.Decode(&t); err != nil {
		return err
	}
	*l = Lease{ID: t.ID, Fault: t.Fault, Lane: traffic.Color(t.Lane), From: t.From, To: t.To, Way: t.Way, Mark: t.Mark, Seed: t.Seed, TTL: t.TTL}
	switch t.Fault {
	case "":
		return v.Errorf("fault: say which: %s or %s", FaultImpair, FaultPartition)
	case FaultImpair:
		return conf.DecodeRest(t.Parameters, &l.Impair, leaseKeys...)
	case FaultPartition:
		return conf.DecodeRest(t.Parameters, &struct{}{}, leaseKeys...)
	}
	return v.Errorf("no fault %q%s", t.Fault, conf.DidYouMean(t.Fault, []string{FaultImpair, FaultPartition}))
}

// UnmarshalJSON reads what MarshalJSON writes, as strictly as from YAML.
func (l *Lease) UnmarshalJSON(data []byte) error {
	var one bytes.Buffer
	if err := json.Compact(&one, data); err != nil { // YAML takes no tabs between tokens; JSON does
		return fmt.Errorf("not valid JSON: %w", err)
	}
	if one.Len() == 0 || one.Bytes()[0] != '{' {
		return errors.New("want a JSON object")
	}
	var read Lease
	if err := conf.Decode("", one.Bytes(), &read); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), ":1: ")) // the place is always the one line
	}
	*l = read
	return nil
}

// MarshalJSON writes one flat object.
func (l Lease) MarshalJSON() ([]byte, error) {
	i := l.Impair
	return json.Marshal(struct {
		ID        string        `json:"id,omitempty"`
		Fault     string        `json:"fault"`
		Lane      traffic.Color `json:"lane,omitempty"`
		From      string        `json:"from,omitempty"`
		To        string        `json:"to,omitempty"`
		Way       Way           `json:"way"`
		Mark      Mark          `json:"mark,omitzero"`
		Seed      uint64        `json:"seed,omitempty"`
		TTL       string        `json:"ttl"`
		Loss      float64       `json:"loss,omitempty"` // a percentage would not always come back as the same number
		Burst     float64       `json:"burst,omitempty"`
		Duplicate float64       `json:"duplicate,omitempty"`
		Reorder   float64       `json:"reorder,omitempty"`
		Delay     string        `json:"delay,omitempty"`
		Jitter    string        `json:"jitter,omitempty"`
		Rate      conf.Bytes    `json:"rate,omitzero"`
	}{
		l.ID, l.Fault, l.Lane, l.From, l.To, l.Way, l.Mark, l.Seed, l.TTL.String(),
		float64(i.Loss), i.Burst, float64(i.Duplicate), float64(i.Reorder), words(i.Delay), words(i.Jitter), i.Rate,
	})
}

// words is d, and nothing for 0.
func words(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
