package lanes

import "github.com/redlane/redlane/traffic"

// Escapes is the second look: the forwarder calls it on the endpoint it chose, just before it uses it,
// and must not use it when the answer is true. It shares nothing with Resolve but the configuration, so
// that a mistake there, in a balancer or in a retry does not become traffic outside its lane. An endpoint
// of another configuration is an escape too. Every true is counted.
func (f *Filter) Escapes(x *traffic.Exchange, ep *traffic.Endpoint) bool {
	if f.table.permits(x, ep) {
		return false
	}
	f.caught.Add(1)
	return true
}

func (t *Table) permits(x *traffic.Exchange, ep *traffic.Endpoint) bool {
	home, ok := t.homes[ep]
	if !ok || home.service != x.Dst || home.lane != ep.Lane {
		return false
	}
	if x.SrcLane != "" && x.Color != x.SrcLane {
		return false
	}
	if ep.Lane == x.Color {
		return true
	}
	// What is left may only be coloured traffic on the baseline.
	if ep.Lane != "" || t.colors[string(x.Color)] == nil {
		return false
	}
	s := t.cfg.Services[x.Dst]
	l := s.Lanes[x.Color]
	switch rule := t.cfg.rule(s, l); rule {
	case AbsentOrUnhealthy:
		// Health may have changed since the exchange was routed, so the reason it was given counts.
		return len(l.Endpoints) == 0 || x.LaneReason == traffic.LaneFallbackUnhealthy
	case Absent:
		return len(l.Endpoints) == 0
	}
	return false
}
