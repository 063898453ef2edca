package proxy

import "github.com/redlane/redlane/internal/wire/http1"

// passUp passes on what may of the client's bytes. It runs as a step, and reports whether there is another.
func (s *session) passUp() bool {
	x, was := s.x, s.phase
	h := x.harm
	p := &h.up
	if was == tunnelling && p.shape.Hole && p.waits > 0 {
		p.drop()
		s.in = nil
	}
	for s.x == x && x.harm == h && s.phase == was && !s.stalled {
		if p.reached() && (was == tunnelling || s.headReady()) {
			s.endAsAsked(p.shape.End)
			return true
		}
		if !h.headed {
			if !s.headReady() {
				break
			}
			n, _ := p.next(s.loop.Now())
			s.passPiece(n)
			continue
		}
		n, _ := p.next(s.loop.Now())
		if n == 0 {
			break
		}
		s.passPiece(n)
	}
	return s.phase != was
}

// headReady reports whether the head of the request may go, if it has not gone.
func (s *session) headReady() bool {
	h := s.x.harm
	sh := &h.up.shape
	return h.headed || !sh.Hole && (sh.Delay <= 0 || !h.headDue.After(s.loop.Now()))
}

// passPiece passes on the first n bytes that wait; of a request the head before them.
func (s *session) passPiece(n int) {
	x, l := s.x, s.loop
	h, now, all := x.harm, l.Now(), s.in
	h.up.take(n)
	if s.phase == tunnelling {
		s.in = all[n:]
		s.pass(all[:n])
		h.up.charge(int64(n), now)
		return
	}
	size, first := x.Request.BodySize, !h.headed
	s.in = all[:n:n]
	l.up = l.up[:0]
	if h.headed = true; first {
		l.up = s.requestHead(l.up)
	}
	s.passBody(first)
	if s.phase == gone {
		return
	}
	s.in = all[n-len(s.in):]
	if s.x == x && x.harm == h {
		h.up.charge(x.Request.BodySize-size, now)
	}
}

// passDown passes on what may of the service's bytes.
func (s *session) passDown() {
	x := s.x
	h, u := x.harm, x.up
	p := &h.down
	if s.phase == tunnelling && p.shape.Hole && p.waits > 0 {
		p.drop()
		h.held, h.off = h.held[:0], 0
	}
	for s.x == x && x.harm == h && x.up == u && !u.paused && !h.resets && h.came.IsZero() {
		now := s.loop.Now()
		ready := p.ready(now)
		if p.reached() && (s.phase == tunnelling || ready > 0 || p.passed > 0) {
			s.endAsAsked(p.shape.End)
			return
		}
		n := ready
		if s.phase == tunnelling || x.answered {
			n, _ = p.next(now)
		} else if n > 0 {
			n = s.headPart(h.held[h.off : h.off+n])
		}
		if n == 0 {
			break
		}
		s.passAnswer(u, n)
	}
	if s.x != x || x.harm != h || x.up != u {
		return
	}
	if h.full && p.waits <= p.room()/2 {
		h.full = false
		if !u.paused {
			u.loop.Resume(u.h)
		}
	}
	switch late := h.lateDue(); {
	case !late.IsZero():
		if !late.After(s.loop.Now()) {
			u.sendLast()
		}
	case p.ended && p.mayEnd(s.loop.Now()):
		p.ended = false
		u.finished()
	}
}

// headPart is how many of the bytes that may pass are a head: all of one that is whole, or none.
func (s *session) headPart(b []byte) int {
	limit := s.loop.proxy.cfg.Limits.Head
	end, _ := http1.HeadEnd(b, 0)
	switch {
	case end > 0:
		return end
	case len(b) > limit, s.x.harm.down.ended: // for the parser to say
		return len(b)
	}
	return 0
}

// passAnswer passes on the first n bytes of the service that wait.
func (s *session) passAnswer(u *upstream, n int) {
	x := s.x
	h, now := x.harm, s.loop.Now()
	p := &h.down
	b := h.held[h.off : h.off+n]
	h.off += n
	p.take(n)
	if s.phase == tunnelling {
		u.pass(b)
		p.charge(int64(n), now)
	} else {
		size := x.Response.BodySize
		u.respond(b)
		if s.x != x || x.harm != h {
			return
		}
		if s.phase == tunnelling { // it was the head of a 101
			size = x.Response.BodySize
		}
		p.charge(x.Response.BodySize-size, now)
	}
	if p.waits == 0 {
		h.held, h.off = shrink(h.held), 0
	}
}
