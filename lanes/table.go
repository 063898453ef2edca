package lanes

import (
	"fmt"
	"maps"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// Unknown stands for every colour that names no lane: it is the colour of an exchange whose carriers held
// something that is no colour at all, and the colour such exchanges are counted under. It is not Valid,
// so no lane can be called so.
const Unknown traffic.Color = "?"

// A Table says where each service's traffic may go. It is built once and never changes, except for the
// health of its endpoints.
type Table struct {
	header string
	routes map[key]*route
	colors map[string]*color // every lane that any service has
	homes  map[*traffic.Endpoint]key
	cfg    Config // what the second check, Escapes, goes by
	names  []string
}

type key struct {
	service string
	lane    traffic.Color
}

// A route is where one service's traffic of one colour may go.
type route struct {
	service int                 // its number, for counting
	own     []*traffic.Endpoint // instances in the lane; for the uncoloured, the baseline
	base    []*traffic.Endpoint // the baseline, for lanes
	rule    Rule
}

// A color is a known colour in the forms the filter writes, so that writing it allocates nothing.
type color struct {
	name    traffic.Color
	value   []byte // of x-lane and the configured header
	baggage []byte // of baggage, where the request has none
	number  int    // from firstColor, for counting
}

// NewTable checks cfg and builds its table. Its errors are one line and name the service at fault.
func NewTable(cfg Config) (*Table, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("build lanes: %w", err)
	}
	cfg = cfg.clone()
	t := &Table{
		header: cfg.Header, cfg: cfg,
		routes: make(map[key]*route), colors: make(map[string]*color),
		homes: make(map[*traffic.Endpoint]key),
		names: slices.Sorted(maps.Keys(cfg.Services)),
	}
	for i, name := range t.names {
		s := cfg.Services[name]
		base := t.endpoints(name, "", s.Endpoints)
		t.routes[key{name, ""}] = &route{service: i + 1, own: base}
		t.routes[key{name, Unknown}] = &route{service: i + 1, base: base, rule: cfg.rule(s, Lane{})}
		for _, c := range slices.Sorted(maps.Keys(s.Lanes)) {
			l := s.Lanes[c]
			t.routes[key{name, c}] = &route{service: i + 1, own: t.endpoints(name, c, l.Endpoints), base: base, rule: cfg.rule(s, l)}
			if t.colors[string(c)] == nil {
				t.colors[string(c)] = &color{name: c, value: []byte(c), baggage: []byte(baggageKey + "=" + string(c)), number: firstColor + len(t.colors)}
			}
		}
	}
	return t, nil
}

func (t *Table) endpoints(service string, lane traffic.Color, addrs []string) []*traffic.Endpoint {
	eps := make([]*traffic.Endpoint, len(addrs))
	for i, addr := range addrs {
		eps[i] = &traffic.Endpoint{Addr: addr, Lane: lane}
		t.homes[eps[i]] = key{service, lane}
	}
	return eps
}

// Resolve says where a request of colour c to service may go at now, in Unix nanoseconds; c is empty for
// the uncoloured. eps is nil when why.Refused(), and must not be changed. An endpoint in eps need not be
// healthy, but when why is LaneMatched at least one is.
//
// What the service says about the lane costs one hash lookup. A lane it does not mention costs two more,
// so that the table grows with what is configured and not with services × lanes.
func (t *Table) Resolve(service string, c traffic.Color, now int64) (eps []*traffic.Endpoint, lane traffic.Color, why traffic.LaneReason) {
	r, known := t.route(service, c)
	if !known {
		return nil, "", traffic.LaneUnknown
	}
	return r.resolve(c, now)
}

// nowhere is the route to a service that the table does not know.
var nowhere = &route{service: noService}

// route returns the route of a colour, never nil; known is false when no lane has this colour.
func (t *Table) route(service string, c traffic.Color) (r *route, known bool) {
	if r = t.routes[key{service, c}]; r != nil {
		return r, c != Unknown
	}
	return t.routeAbsent(service, c)
}

func (t *Table) routeAbsent(service string, c traffic.Color) (r *route, known bool) {
	if r = t.routes[key{service, Unknown}]; r == nil {
		r = nowhere
	}
	return r, c == "" || t.colors[string(c)] != nil
}

func (r *route) resolve(c traffic.Color, now int64) ([]*traffic.Endpoint, traffic.Color, traffic.LaneReason) {
	if c == "" {
		return r.own, "", traffic.LaneBaseline
	}
	for _, ep := range r.own {
		if ep.Healthy(now) {
			return r.own, c, traffic.LaneMatched
		}
	}
	switch {
	case len(r.own) == 0 && r.rule != Never && len(r.base) > 0:
		return r.base, "", traffic.LaneFallbackAbsent
	case len(r.own) == 0:
		return nil, "", traffic.LaneNotFound
	case r.rule == AbsentOrUnhealthy && len(r.base) > 0:
		return r.base, "", traffic.LaneFallbackUnhealthy
	}
	return nil, "", traffic.LaneUnhealthy
}

// Endpoints returns all instances of service: the baseline first, then lane by lane. They are the ones
// Resolve returns, so that what moves their health moves the routing.
func (t *Table) Endpoints(service string) (eps []*traffic.Endpoint) {
	s := t.cfg.Services[service]
	for _, c := range append([]traffic.Color{""}, slices.Sorted(maps.Keys(s.Lanes))...) {
		if r := t.routes[key{service, c}]; r != nil {
			eps = append(eps, r.own...)
		}
	}
	return eps
}

// Services lists the services by name.
func (t *Table) Services() []string { return slices.Clone(t.names) }

// Lanes lists the colours of all lanes that any service has.
func (t *Table) Lanes() []traffic.Color {
	all := make([]traffic.Color, 0, len(t.colors))
	for c := range t.colors {
		all = append(all, traffic.Color(c))
	}
	slices.Sort(all)
	return all
}
