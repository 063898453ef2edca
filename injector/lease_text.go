package injector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// leaseText is a Lease as it is written; what is left over belongs to the fault.
type leaseText struct {
	ID          string        `yaml:"id"`
	Fault       string        `yaml:"fault"`
	Lane        string        `yaml:"lane"`
	Edge        Edge          `yaml:"edge"`
	Route       string        `yaml:"route"`
	Method      string        `yaml:"method"`
	Header      HeaderMatch   `yaml:"header"`
	Per         string        `yaml:"per"`
	Share       *conf.Share   `yaml:"share"`
	Seed        uint64        `yaml:"seed"`
	TTL         time.Duration `yaml:"ttl"`
	Guard       string        `yaml:"guard"`
	MaxRequests uint64        `yaml:"max_requests"`
	MaxActive   uint64        `yaml:"max_active"`
	Parameters  []conf.Entry  `yaml:",rest"`
}

var leaseKeys = []string{"id", "fault", "lane", "edge", "route", "method", "header", "per", "share", "seed", "ttl", "guard", "max_requests", "max_active"}

// UnmarshalConf reads a lease strictly: the parameters must be the fault's own. What is missing is left
// to Table.Add to refuse, because a scenario fills in some of it; only the share must be there, because
// no default is safe.
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
		return v.Errorf("no fault %q%s", t.Fault, meant(t.Fault))
	}
	if t.Share == nil {
		return v.Errorf("share: say how much of the traffic, such as 10%%")
	}
	fault := make()
	if err := conf.DecodeRest(t.Parameters, fault, leaseKeys...); err != nil {
		return err
	}
	*l = Lease{
		ID: t.ID, Fault: fault, Lane: traffic.Color(t.Lane), Edge: t.Edge,
		Route: t.Route, Method: t.Method, Header: t.Header, Per: t.Per, Share: *t.Share, Seed: t.Seed, TTL: t.TTL, Guard: t.Guard,
		MaxRequests: t.MaxRequests, MaxActive: t.MaxActive,
	}
	return nil
}

func meant(word string) string {
	if m := conf.DidYouMean(word, Faults()); m != "" {
		return m
	}
	return "; there are " + strings.Join(Faults(), ", ")
}

// UnmarshalJSON reads what MarshalJSON writes, as strictly as from YAML.
func (l *Lease) UnmarshalJSON(data []byte) error {
	var read Lease
	if err := DecodeJSON(data, &read); err != nil {
		return err
	}
	*l = read
	return nil
}

// DecodeJSON reads a JSON object as strictly as conf reads YAML. The error is one line without a place.
func DecodeJSON(data []byte, into any) error {
	var one bytes.Buffer
	if err := json.Compact(&one, data); err != nil { // YAML takes no tabs between tokens; JSON does
		return fmt.Errorf("not valid JSON: %w", err)
	}
	if one.Len() == 0 || one.Bytes()[0] != '{' {
		return errors.New("want a JSON object")
	}
	if err := conf.Decode("", one.Bytes(), into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), ":1: ")) // the place is always the one line
	}
	return nil
}

// MarshalJSON writes one flat object. The share is a plain number, because a percentage would not always
// come back as the same one.
func (l Lease) MarshalJSON() ([]byte, error) {
	if l.Fault == nil {
		return nil, errors.New("lease without a fault")
	}
	out := map[string]any{"fault": Kind(l.Fault), "lane": l.Lane, "edge": l.Edge, "share": float64(l.Share), "ttl": l.TTL.String()}
	for key, word := range map[string]string{"id": l.ID, "route": l.Route, "method": l.Method, "header": l.Header.String(), "per": l.Per} {
		if word != "" {
			out[key] = word
		}
	}
	if l.Guard != "" {
		out["guard"] = l.Guard
	}
	for key, n := range map[string]uint64{"seed": l.Seed, "max_requests": l.MaxRequests, "max_active": l.MaxActive} {
		if n != 0 {
			out[key] = n
		}
	}
	fault := reflect.Indirect(reflect.ValueOf(l.Fault))
	for i := range fault.NumField() {
		key, _, _ := strings.Cut(fault.Type().Field(i).Tag.Get("yaml"), ",")
		if value := fault.Field(i); key != "" && key != "-" && !value.IsZero() {
			switch v := value.Interface().(type) {
			case conf.Share:
				out[key] = float64(v)
			case fmt.Stringer:
				out[key] = v.String()
			default:
				out[key] = v
			}
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // an edge has an arrow
	err := enc.Encode(out)
	return b.Bytes(), err
}
