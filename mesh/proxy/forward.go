package proxy

import (
	"github.com/redlane/redlane/traffic"
)

// maxAttempts bounds how many instances one request tries to connect to. More would only add to the load
// of a service that is going down.
const maxAttempts = 4

// forward chooses an endpoint and sends the request there, over a connection that is open already or
// over a new one.
func (s *session) forward() {
	x, l := s.x, s.loop
	s.phase = connecting
	ep := l.choose(x)
	switch {
	case ep == nil && x.attempts > 0:
		s.reply(503, "no instance could be connected to\n", traffic.FlagUpstreamConnect)
		return
	case ep == nil && len(x.Endpoints) == 0:
		s.reply(503, "no instance to send this to\n", traffic.FlagNoRoute)
		return
	case ep == nil:
		s.reply(503, "no healthy instance\n", traffic.FlagNoHealthyUpstream)
		return
	case x.service.lanes != nil && x.service.lanes.Escapes(&x.Exchange, ep): // must not happen: see there
		x.LaneReason = traffic.LaneEscape
		s.reply(503, "the instance chosen is outside of the lane\n", traffic.FlagLaneEscape)
		return
	}
	x.endpoint, x.reached = ep, false
	if x.harm != nil && x.harm.connect != nil && s.disconnected() {
		return
	}
	if x.edge.diversion != nil {
		s.dial(l.outsider(s.to, ep.Addr))
		return
	}
	t := l.target(ep, x.service.origin)
	if !x.retried && !x.stream {
		if u := t.take(); u != nil {
			s.send(u)
			return
		}
	}
	s.dial(t)
}

func (s *session) dial(t *target) {
	s.x.attempts++
	limits := &s.x.service.timeouts
	if u := t.dial(limits.Connect, limits.Pool); u != nil {
		s.x.up, u.x = u, s.x
		return
	}
	s.reply(503, "shutting down\n", traffic.FlagDraining)
}

// choose is the next healthy endpoint in turn, or nil. Each loop keeps its own turn: they meet often
// enough, and share nothing.
func (l *loop) choose(x *exchange) *traffic.Endpoint {
	if x.attempts >= maxAttempts {
		return nil
	}
	return l.pick(x.Endpoints)
}

// pick is the next healthy one of these, or nil.
func (l *loop) pick(eps []*traffic.Endpoint) *traffic.Endpoint {
	if len(eps) == 0 {
		return nil
	}
	now := l.Now().UnixNano()
	if len(eps) == 1 {
		if eps[0].Healthy(now) {
			return eps[0]
		}
		return nil
	}
	turn := l.cursor[eps[0]]
	for i := range uint32(len(eps)) {
		if ep := eps[(turn+i)%uint32(len(eps))]; ep.Healthy(now) {
			l.cursor[eps[0]] = turn + i + 1
			return ep
		}
	}
	return nil
}

// unconnected follows a connection that did not come about: the instance rests, and the next is tried.
func (s *session) unconnected() {
	s.forward()
	s.run()
}

// lost follows a connection that ended before the response began. When it had been kept from an earlier
// exchange, the service most likely closed it before the request came, and the request may be sent once
// more: if doing it twice does no harm, and if its body has not been passed on.
func (s *session) lost(u *upstream) {
	x := s.x
	if u.used && x.FirstByte == 0 && x.taken == 0 && x.idempotent() {
		x.retried = true
		x.Flags |= traffic.FlagRetried
		s.loop.stats.retries.Add(1)
		x.body.Init(x.asked, &s.loop.proxy.cfg.Limits)
		x.whole, s.stalled = false, false
		s.phase = connecting
		s.dial(u.target)
		s.run()
		return
	}
	s.fail(502, "the service ended the connection before it answered\n", traffic.FlagUpstreamClosed)
}
