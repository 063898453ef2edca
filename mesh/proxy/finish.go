package proxy

// flushed follows the last byte of a response: the exchange is over when the kernel has taken it.
func (s *session) flushed(waiting int) {
	if waiting > 0 {
		s.phase = flushing
		s.arm()
		return
	}
	s.finish()
}

// finish ends an exchange whose response is through, and goes on to the next or ends the connection.
func (s *session) finish() {
	whole := s.x.whole
	s.end()
	s.stalled = false
	if s.last {
		if !whole || len(s.in) > 0 {
			s.lingerOn()
		} else {
			s.close()
		}
	} else {
		s.phase = reading
		s.arm()
	}
	s.run()
}

// end is the one place where an exchange is over. Each filter whose Request half was called sees it, from
// the innermost up, then the counters and the log.
func (s *session) end() {
	x, l := s.x, s.loop
	if x.harm != nil && (x.Response.Status == 0 || x.Response.Status >= 500) {
		s.copyRequest(true)
	}
	s.x = nil
	x.Latency = x.since(l.Now())
	for x.depth > 0 {
		x.depth--
		x.service.chain.filters[x.depth].Response(&x.Exchange)
	}
	l.stats.observe(x)
	l.log.observe(x)
	l.freeExchange(x)
}

// dropUpstream lets go of the endpoint's connection in the middle of an exchange. It is of no further use,
// unless it is still being opened.
func (s *session) dropUpstream() {
	u := s.x.up
	if u == nil {
		return
	}
	stream := s.x.stream // a connection nobody else can use
	s.x.up, u.x = nil, nil
	if u.open || stream {
		u.reset()
	}
}
