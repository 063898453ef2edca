package proxy

import "github.com/redlane/redlane/traffic"

// decide asks the filters from where it left off, and does what they want: wait, then reply, or reset.
func (s *session) decide() {
	x := s.x
	if string(x.Request.Method) == "CONNECT" {
		s.last = true
		s.reply(501, "CONNECT is not served here\n", 0)
		return
	}
	if x.atServer() && s.challenged() {
		return
	}
	filters := x.service.chain.filters
	for x.depth < len(filters) {
		f := filters[x.depth]
		x.depth++
		a := f.Request(&x.Exchange)
		if a.Wait > 0 {
			s.hold(a)
			return
		}
		if a.Harm != nil {
			x.suffer(a.Harm)
		}
		if a.Ends() {
			s.act(a)
			return
		}
	}
	s.forward()
}

// hold keeps the request back. Meanwhile the client may hang up, which ends it.
func (s *session) hold(a traffic.Action) {
	s.phase = holding
	s.x.held, s.x.due = a, s.loop.Now().Add(a.Wait)
	s.stay(a.Wait)
}

// release goes on with a request whose time has come, or whose grip is over.
func (s *session) release() {
	x := s.x
	a := x.held
	left := x.due.Sub(s.loop.Now())
	switch {
	case over(a.Harm):
		x.held, x.hole = traffic.Action{}, false
		s.decide()
	case x.hole:
		s.stay(0)
		return
	case left > 0:
		s.stay(left) // never early, whatever the driver's clock
		return
	default:
		if a.Harm != nil {
			x.suffer(a.Harm)
		}
		if a.Ends() {
			s.act(a)
		} else {
			s.decide()
		}
	}
	s.run()
}

func (s *session) act(a traffic.Action) {
	switch {
	case a.Reply.Status != 0:
		var headers []traffic.Header
		if a.Harm != nil {
			headers = a.Harm.Headers
		}
		s.replyWith(a.Reply.Status, headers, a.Reply.Body, a.Reply.Flag)
	case a.Reset:
		s.end()
		s.reset()
	default:
		s.hole(a)
	}
}
