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
	s.loop.Arm(s.h, a.Wait)
}

// release goes on with a request whose time has come.
func (s *session) release() {
	if left := s.x.due.Sub(s.loop.Now()); left > 0 {
		s.loop.Arm(s.h, left) // never early, whatever the driver's clock
		return
	}
	if a := s.x.held; a.Ends() {
		s.act(a)
	} else {
		s.decide()
	}
	s.run()
}

func (s *session) act(a traffic.Action) {
	if a.Reply.Status != 0 {
		s.reply(a.Reply.Status, a.Reply.Body, a.Reply.Flag)
		return
	}
	s.end()
	s.reset()
}
