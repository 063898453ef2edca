package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// A harm is what is done to an exchange that goes on. One without any has none, and pays for a nil pointer.
//
//	decide ─► connect ─► copies ─► service
//	                                  │
//	client ◄─ patched ◄─ shaped ◄─────┘     shaped also on the way there
type harm struct {
	// Who asked for each part: of several filters the last. What they gave is theirs and never changed.
	connect, copies, shaped, patched *traffic.Harm

	patching
	copying
	lastByte
	up, down pace
	held     []byte    // bytes of the service that wait, those of the client do so in session.in
	off      int       // of held: before it all has passed
	full     bool      // the service is not read from, because held is long
	headed   bool      // the head of the request has gone
	headDue  time.Time // else: when it may
	limit    time.Time // what the client's timer stands for besides: see sooner
	resets   bool      // nothing is left to do but to reset the client
}

// suffer notes what h asks for. Replies and holes are not for exchanges that go on.
func (x *exchange) suffer(h *traffic.Harm) {
	if h.Connect == traffic.ConnectAsUsual && h.Copies <= 0 && h.Shaper == nil && h.Patch == nil {
		return
	}
	if x.harm == nil {
		x.harm = new(harm)
	}
	m := x.harm
	if h.Connect != traffic.ConnectAsUsual {
		m.connect = h
	}
	if h.Copies > 0 {
		m.copies = h
	}
	if h.Shaper != nil {
		m.shaped = h
	}
	if h.Patch != nil {
		m.patched = h
	}
}

// over reports whether whoever asked for h has let go.
func over(h *traffic.Harm) bool { return h != nil && h.Grip != nil && h.Grip.Over() }

// gripLook is how often a grip is asked while something is held back: so late may a halt be felt.
const gripLook = 100 * time.Millisecond

// hole keeps an exchange that is never answered. Its client ends it.
func (s *session) hole(a traffic.Action) {
	s.phase = holding
	s.x.held, s.x.hole = a, true
	s.stay(0)
}

// stay sets the timer of a request that is held back, d from now or 0 for ever, and to when its grip is asked.
func (s *session) stay(d time.Duration) {
	if h := s.x.held.Harm; h != nil && h.Grip != nil && (d == 0 || d > gripLook) {
		d = gripLook
	}
	s.loop.Arm(s.h, d)
}

// disconnected does to the connection to the service what was asked for. It is false where that is nothing.
func (s *session) disconnected() bool {
	x := s.x
	switch h := x.harm.connect; {
	case over(h):
		return false
	case h.Connect == traffic.ConnectStalled:
		x.due = s.loop.Now().Add(x.service.timeouts.Connect)
		s.stall()
	case h.Connect == traffic.ConnectUnnamed:
		s.reply(503, "the name of the service could not be resolved\n", traffic.FlagUpstreamConnect)
	default:
		s.reply(503, "no instance could be connected to\n", traffic.FlagUpstreamConnect)
	}
	return true
}

// stall waits for a connection that never comes about, or for its grip to be over.
func (s *session) stall() {
	x := s.x
	left := x.due.Sub(s.loop.Now())
	switch {
	case over(x.harm.connect):
		x.harm.connect = nil
		s.forward()
	case left > 0:
		s.loop.Arm(s.h, min(left, gripLook))
	default:
		s.reply(503, "no instance could be connected to\n", traffic.FlagUpstreamConnect)
	}
}
