package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// endAsAsked ends both sides of an exchange on purpose.
func (s *session) endAsAsked(e traffic.End) {
	x := s.x
	x.Flags |= traffic.FlagFaultInjected
	if e == traffic.EndReset {
		passed := (x.answered || x.harm.down.passed > 0) && !x.up.ended // else it has been sent, with its end
		s.dropUpstream()
		if passed {
			s.resetSoon()
			return
		}
		s.end()
		s.reset()
		return
	}
	u := x.up
	x.up, u.x = nil, nil
	u.close()
	s.end()
	if s.in, s.stalled = nil, false; s.ended {
		s.close()
		return
	}
	s.lingerOn() // the client may still be sending, and a reset would destroy what has passed
	s.run()
}

// resetDelay is what a driver gets to send what has passed: a reset overtakes it. Drivers gather what one
// turn sends.
const resetDelay = time.Millisecond

// resetSoon resets the client's connection once the kernel has what has passed.
func (s *session) resetSoon() {
	h := s.x.harm
	s.phase, h.resets = flushing, true
	h.limit = s.loop.Now().Add(s.x.service.timeouts.Request)
	s.loop.Arm(s.h, resetDelay)
}

// resetNow is its timer.
func (s *session) resetNow() {
	if s.loop.Send(s.h, nil) > 0 && s.x.harm.limit.After(s.loop.Now()) {
		s.loop.Arm(s.h, resetDelay)
		return
	}
	s.end()
	s.reset()
}
