package toxiproxy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A toxic as it was asked for. It never changes: another takes its place, with the same born.
type toxic struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Stream     string   `json:"stream"`
	Toxicity   float64  `json:"toxicity"`
	Attributes kind     `json:"attributes"`
	TTL        duration `json:"ttl,omitempty"` // where it was given one of its own: an addition to Toxiproxy's format

	born  uint64    // the same after every change
	until time.Time // its lease
}

// A duration is written like 30s.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("ttl: want a duration such as 30s, found %q", text)
	}
	*d = duration(v)
	return nil
}

// asked is a toxic in a request. Keys that nobody knows are passed over, as in Toxiproxy.
type asked struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Stream     string          `json:"stream"`
	Toxicity   *float64        `json:"toxicity"`
	Attributes json.RawMessage `json:"attributes"`
	TTL        duration        `json:"ttl"`
}

// create is the toxic of a request that adds one.
func (a *asked) create() (*toxic, error) {
	t := &toxic{Name: a.Name, Type: a.Type, Stream: a.Stream, Toxicity: 1}
	if t.Stream == "" {
		t.Stream = "downstream"
	}
	if _, ok := directions[t.Stream]; !ok {
		return nil, errInvalidStream
	}
	make, ok := kinds[a.Type]
	if !ok {
		return nil, errInvalidType
	}
	if t.Name == "" {
		t.Name = t.Type + "_" + t.Stream
	}
	t.Attributes = make()
	return t, a.fill(t)
}

// change is old with what a request changes of it: what that does not name stays.
func (a *asked) change(old *toxic) (*toxic, error) {
	t := *old
	was := reflect.ValueOf(old.Attributes).Elem()
	now := reflect.New(was.Type())
	now.Elem().Set(was) // streams go by the old one
	t.Attributes = now.Interface().(kind)
	return &t, a.fill(&t)
}

func (a *asked) fill(t *toxic) error {
	if a.Toxicity != nil {
		t.Toxicity = *a.Toxicity
	}
	if a.TTL != 0 {
		t.TTL = a.TTL
	}
	if len(a.Attributes) > 0 {
		if err := json.Unmarshal(a.Attributes, t.Attributes); err != nil {
			return badBody(err)
		}
	}
	if !(t.Toxicity >= 0 && t.Toxicity <= 1) {
		return badBody(fmt.Errorf("toxicity: want 0 to 1, found %v", t.Toxicity))
	}
	all := reflect.ValueOf(t.Attributes).Elem()
	for i := range all.NumField() {
		if n := all.Field(i).Int(); n < 0 {
			return badBody(fmt.Errorf("%s: must not be negative, found %d", strings.TrimSuffix(all.Type().Field(i).Tag.Get("json"), ",omitempty"), n))
		}
	}
	return nil
}

var directions = map[string]traffic.Direction{"upstream": traffic.Upstream, "downstream": traffic.Downstream}

// both ways, in the order of the API.
const ways = 2

// A set is all toxics of a proxy, oldest first. It never changes; another takes its place.
type set struct{ toxics [ways][]*toxic }

func (s *set) all() []*toxic {
	list := make([]*toxic, 0, len(s.toxics[0])+len(s.toxics[1]))
	return append(append(list, s.toxics[traffic.Upstream]...), s.toxics[traffic.Downstream]...)
}

// with is s with t in the place of the toxic of the same name, or last.
func (s *set) with(t *toxic) *set {
	n, d := *s, directions[t.Stream]
	n.toxics[d] = slices.Clone(n.toxics[d])
	if i := slices.IndexFunc(n.toxics[d], func(o *toxic) bool { return o.Name == t.Name }); i >= 0 {
		n.toxics[d][i] = t
	} else {
		n.toxics[d] = append(n.toxics[d], t)
	}
	return &n
}

// without is s without the toxics that are over.
func (s *set) without(over func(*toxic) bool) *set {
	n := *s
	for d := range n.toxics {
		n.toxics[d] = slices.DeleteFunc(slices.Clone(n.toxics[d]), over)
	}
	return &n
}

func (s *set) size() int { return len(s.toxics[0]) + len(s.toxics[1]) }

func (s *set) find(name string) *toxic {
	for _, t := range s.all() {
		if t.Name == name {
			return t
		}
	}
	return nil
}
