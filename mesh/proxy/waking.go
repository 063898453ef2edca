package proxy

import "time"

// sooner is how long from now the client's timer is to be set where d would do otherwise: the Shaper may
// want to be asked before.
func (s *session) sooner(d time.Duration) time.Duration {
	if !s.paced() && !s.x.harm.keeping {
		return d
	}
	h, now := s.x.harm, s.loop.Now()
	h.limit = time.Time{}
	held := h.down.waits > 0 && !s.x.up.paused || h.up.waits > 0 && !s.stalled
	if d > 0 && (s.phase != tunnelling || !held) { // a stream that waits is not idle
		h.limit = now.Add(d)
	}
	return s.untilWake(now)
}

// rearm sets the timer after something has moved, if x still suffers h.
func (s *session) rearm(x *exchange, h *harm) {
	if s.x == x && x.harm == h && (s.paced() || h.keeping) {
		s.loop.Arm(s.h, s.untilWake(s.loop.Now()))
	}
}

func (s *session) untilWake(now time.Time) time.Duration {
	h := s.x.harm
	at := sooner(h.limit, h.lateDue())
	if h.keeping || !h.came.IsZero() {
		at = sooner(at, now.Add(gripLook))
	}
	if s.paced() {
		at = sooner(at, sooner(h.up.wake(now), h.down.wake(now)))
	}
	if s.paced() && !h.headed {
		at = sooner(at, now.Add(gripLook))
		if !h.up.shape.Hole {
			at = sooner(at, h.headDue)
		}
	}
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(now), 1)
}

// moves reports whether the timer was for the Shaper, and not for what the phase waits for.
func (s *session) moves() bool {
	x := s.x
	if x == nil || x.harm == nil || !x.harm.keeping && !s.paced() {
		return false
	}
	h := x.harm
	if !h.limit.IsZero() && !h.limit.After(s.loop.Now()) {
		h.limit = time.Time{}
		return false
	}
	if h.keeping {
		s.lookAtKept()
	}
	if s.paced() {
		s.move()
	} else {
		s.rearm(x, h)
	}
	return true
}

// Reshape has every Shaper asked again now, those of streams that carry nothing too, and the Grip of every request that
// is held back: for when one of them has let go.
func (p *Proxy) Reshape() {
	p.post(func(l *loop) {
		for _, slot := range l.peers {
			s, ok := slot.p.(*session)
			switch {
			case !ok || s.x == nil:
			case s.phase == holding:
				s.release()
			case s.x.harm != nil && s.paced():
				s.move()
			}
		}
	})
}
