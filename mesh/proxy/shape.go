package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// Where an exchange has a Shaper, its bytes wait before anybody looks at them, and then go on as if they had
// just come:
//
//	client ─► come ─► session.in ─► passUp ─► as ever
//	          as ever ◄─ passDown ◄─ harm.held ◄─ come ◄─ service
//
// So nothing behind knows of it, and filters see what passes when it does.

// paced reports whether a Shaper stands between the two sides now. s.x.harm must be there.
func (s *session) paced() bool {
	x := s.x
	return x.harm.shaped != nil && x.up != nil && (s.phase == sending || s.phase == awaiting || s.phase == tunnelling)
}

// heldMost is how much waits in memory, in bytes of one direction, before its sender is slowed down: as much
// as a delay needs, or as ever.
const heldMost = 1 << 20

func (p *pace) room() int {
	if p.shape.Delay > 0 {
		return heldMost
	}
	return pipelineMax
}

// ask asks the Shaper about one direction.
func (x *exchange) ask(d traffic.Direction) *pace {
	h := x.harm
	p := &h.up
	if d == traffic.Downstream {
		p = &h.down
	}
	p.shape, p.again = traffic.Shape{}, time.Time{}
	if !over(h.shaped) {
		p.shape = h.shaped.Shaper.Shape(d)
	}
	if p.shape.Again > 0 {
		p.again = x.session.loop.Now().Add(p.shape.Again)
	}
	return p
}

// beginPace follows the connection to the service: the head of a request waits from here on, and what has
// come behind it.
func (s *session) beginPace() {
	x := s.x
	h, now := x.harm, s.loop.Now()
	h.up, h.down, h.held, h.off = pace{passed: h.up.passed}, pace{}, h.held[:0], 0
	if s.phase == tunnelling {
		x.countIn(len(s.in))
	}
	p := x.ask(traffic.Upstream)
	x.ask(traffic.Downstream)
	h.headed, h.headDue = s.phase == tunnelling, now.Add(p.shape.Delay)
	if len(s.in) > 0 {
		p.came(len(s.in), now)
	}
}

// beginTunnelPace follows a 101: from here on there are no messages, and everything is counted as it comes.
func (s *session) beginTunnelPace() {
	x := s.x
	h := x.harm
	h.headed = true
	x.countIn(len(s.in))
	x.countOut(h.down.waits)
	if h.up.marks, h.up.waits = h.up.marks[:0], 0; len(s.in) > 0 {
		h.up.came(len(s.in), s.loop.Now())
	}
	s.arm()
	s.run()
}

// come takes bytes of the client.
func (s *session) come(b []byte) {
	x := s.x
	h, now := x.harm, s.loop.Now()
	if s.phase == tunnelling {
		x.countIn(len(b))
	}
	p := x.ask(traffic.Upstream)
	if s.phase == tunnelling && p.waits == 0 && !p.ended {
		switch {
		case p.open():
			p.passed += int64(len(b))
			s.pass(b)
			return
		case p.shape.Hole:
			p.passed += int64(len(b))
			b = nil
		}
	}
	if len(b) > 0 {
		p.came(len(b), now)
		s.add(b)
	}
	s.run()
	if s.x == x && x.harm == h {
		s.arm()
	}
}

// come takes bytes of the service.
func (u *upstream) come(b []byte) {
	x := u.x
	s, h, now := x.session, x.harm, u.loop.Now()
	if s.phase == tunnelling {
		x.countOut(len(b))
	}
	p := x.ask(traffic.Downstream)
	switch {
	case p.waits > 0 || p.ended:
	case p.open() && s.phase == tunnelling:
		p.passed += int64(len(b))
		u.pass(b)
		return
	case p.open():
		size := x.Response.BodySize
		if u.respond(b); s.x == x && x.harm == h {
			p.passed += x.Response.BodySize - size
		}
		return
	case p.shape.Hole && s.phase == tunnelling:
		p.passed += int64(len(b))
		b = nil
	}
	if len(b) > 0 {
		p.came(len(b), now)
		if h.off > len(h.held)/2 { // it may never be empty
			h.held, h.off = h.held[:copy(h.held, h.held[h.off:])], 0
		}
		h.held = append(h.held, b...)
		u.loop.Arm(u.h, 0) // it has answered: what takes time now is not its fault
	}
	if p.waits > p.room() && !h.full {
		h.full = true
		u.loop.Pause(u.h)
	}
	s.passDown()
	if s.x == x && x.harm == h && s.phase == tunnelling {
		s.arm() // it is not idle
	} else {
		s.rearm(x, h)
	}
}

// move asks again and passes on what may pass.
func (s *session) move() {
	x := s.x
	h := x.harm
	x.ask(traffic.Upstream)
	x.ask(traffic.Downstream)
	s.passDown()
	if s.x == x && x.harm == h {
		s.run()
	}
	s.rearm(x, h)
}

// holds reports whether the end of the service's bytes must wait, and notes that it has come.
func (u *upstream) holds() bool {
	x := u.x
	if x == nil || x.harm == nil || !x.session.paced() {
		return false
	}
	s, h := x.session, x.harm
	p := x.ask(traffic.Downstream)
	now := u.loop.Now()
	if p.end = now; p.mayEnd(now) {
		return false
	}
	p.ended = true
	u.loop.Arm(u.h, 0)
	s.passDown()
	s.rearm(x, h)
	return true
}

// broke passes on all that waits of a service whose connection is no more: nothing will come of it later.
func (u *upstream) broke() {
	x := u.x
	if x == nil || x.harm == nil || !x.session.paced() {
		return
	}
	switch {
	case !x.harm.came.IsZero():
		u.ended = true
		u.sendLast()
		return
	case x.harm.down.waits == 0:
		return
	}
	u.ended = true
	x.harm.down.shape = traffic.Shape{}
	x.session.passDown()
}

// holdsUp reports whether bytes of the client wait, or their end does.
func (s *session) holdsUp() bool {
	x := s.x
	if x == nil || x.harm == nil || !s.paced() || s.phase == awaiting {
		return false
	}
	p := &x.harm.up
	if s.phase != tunnelling || !s.ended || p.over {
		return !x.harm.headed || p.waits > 0
	}
	if !p.ended {
		p.ended, p.end = true, s.loop.Now()
		x.ask(traffic.Upstream)
	}
	p.over = p.mayEnd(s.loop.Now())
	p.ended = !p.over
	return p.ended
}

// unclean reports whether more has come of the service than the response.
func (h *harm) unclean() bool { return h != nil && (h.down.waits > 0 || h.down.ended) }
