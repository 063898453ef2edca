package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// Each connection has one timer, and each phase one thing to wait for:
//
//	client's  reading: Idle, then Header from the first byte   sending: Request, between two reads
//	          holding: the filter's wait, a look at its grip   lingering: lingerTime
//	          connecting: a connection that never comes about  shaped: the next piece, a look at the Shaper
//	          a response it does not take: Request             tunnelling: Idle, either side; joined: look
//	service's the request is through: Response, between two reads; it does not take the body: Response
//	          idle: Pool
//
// arm sets the client's timer for the phase the session is in. Driver timers are made to be moved.
func (s *session) arm() {
	if s.x == nil {
		if s.phase == reading {
			s.loop.Arm(s.h, s.patience())
		}
		return
	}
	t := &s.x.service.timeouts
	slow := s.x.up != nil && s.x.up.paused
	d := time.Duration(0)
	switch {
	case s.x.joined:
		d = s.lookEvery()
	case s.phase == tunnelling:
		d = t.Idle
	case s.phase == flushing, s.phase == sending && !s.stalled && !s.holdsUp(), slow:
		d = t.Request
	}
	if s.x.harm != nil {
		d = s.sooner(d)
	}
	s.loop.Arm(s.h, d)
}

// patience is how long to wait for the next request.
func (s *session) patience() time.Duration {
	idle := s.edge.service.timeouts.Idle
	switch l := s.loop; {
	case l.draining:
		return min(idle, max(l.until.Sub(l.Now()), time.Millisecond))
	case s.leaving:
		return min(idle, s.gen.mesh.TimeoutsOf("").Drain)
	}
	return idle
}

// arm sets the service's timer.
func (u *upstream) arm() {
	s := u.x.session
	switch {
	case s.phase == tunnelling || u.paused || u.x.harm.unclean():
		u.loop.Arm(u.h, 0)
	case s.phase == awaiting || s.stalled:
		u.loop.Arm(u.h, u.x.service.timeouts.Response)
	default: // the client sends, and so sets the pace
		u.loop.Arm(u.h, 0)
	}
}

func (s *session) timer() {
	if s.moves() {
		return
	}
	switch s.phase {
	case reading:
		if !s.partway() {
			s.loop.stats.closings[closedIdle].Add(1)
			s.close()
			return
		}
		s.refuse(errHeadTimeout)
		s.run()
	case holding:
		s.release()
	case connecting:
		if h := s.x.harm; h != nil && h.connect != nil && s.x.up == nil {
			s.stall()
			s.run()
		}
	case sending:
		if s.x.up.paused {
			s.cut(traffic.FlagDownstreamTimeout)
			return
		}
		s.fail(408, "the request body took too long\n", traffic.FlagDownstreamTimeout)
	case awaiting, flushing:
		if h := s.x.harm; h != nil && h.resets {
			s.resetNow()
			return
		}
		s.x.Flags |= traffic.FlagDownstreamTimeout
		s.dropUpstream()
		s.end()
		s.reset()
	case tunnelling:
		if s.x.joined {
			s.look()
			return
		}
		s.endTunnel()
	case lingering:
		s.close()
	}
}

func (u *upstream) timer() {
	if u.x == nil {
		u.target.remove(u)
		u.close()
		return
	}
	s := u.x.session
	s.fail(504, "the service took too long\n", traffic.FlagUpstreamTimeout)
}
