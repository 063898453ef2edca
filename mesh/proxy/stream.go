package proxy

import "github.com/redlane/redlane/traffic"

// A stream is a session of a service with protocol tcp. It has one exchange, which begins with the
// connection and ends with it; what passes is counted and not looked at. There is no answer the proxy could
// give in the service's place: where an HTTP session replies, a stream is reset.
//
//	accept ─► filters ─► holding ─► connecting ─► tunnelling ─► gone
//	             └───────────┴── reset ──┘ when the last endpoint could not be connected to
//
// beginStream asks the filters about a connection that has just come.
func (s *session) beginStream() {
	l := s.loop
	s.first, s.last = l.Now(), true
	x := l.newExchange(s)
	x.stream = true
	x.Flags |= traffic.FlagOpaque
	x.identify()
	l.Arm(s.h, 0)
	if d := s.edge.diversion; d != nil {
		s.passThrough(d)
		return
	}
	s.decide()
}

// openStream begins to carry bytes: what the client has sent so far, then what comes.
func (s *session) openStream(u *upstream) {
	x, l := s.x, s.loop
	x.up, u.x, x.reached = u, x, true
	x.DstAddr = u.target.addrPort
	x.tally = l.stats.streamCell(x)
	x.tally.open.Add(1)
	s.phase = tunnelling
	if x.harm != nil && x.harm.shaped != nil {
		s.beginPace()
		s.arm()
		s.move()
		return
	}
	s.arm()
	s.run()
	s.join()
}

// refuseStream ends a stream that may not go on, or cannot.
func (s *session) refuseStream(flags traffic.Flags) {
	s.x.Flags |= flags
	s.dropUpstream()
	s.end()
	s.reset()
}
