package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// Each connection has one timer, and each phase one thing to wait for:
//
//	client's  reading: Idle, then Header from the first byte   sending: Request, between two reads
//	          holding: the filter's wait                       lingering: lingerTime
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
	switch {
	case s.x.joined:
		s.loop.Arm(s.h, s.lookEvery())
	case s.phase == tunnelling:
		s.loop.Arm(s.h, t.Idle)
	case s.phase == flushing, s.phase == sending && !s.stalled, slow:
		s.loop.Arm(s.h, t.Request)
	default:
		s.loop.Arm(s.h, 0)
	}
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
	case s.phase == tunnelling || u.paused:
		u.loop.Arm(u.h, 0)
	case s.phase == awaiting || s.stalled:
		u.loop.Arm(u.h, u.x.service.timeouts.Response)
	default: // the client sends, and so sets the pace
		u.loop.Arm(u.h, 0)
	}
}

func (s *session) timer() {
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
	case sending:
		if s.x.up.paused {
			s.cut(traffic.FlagDownstreamTimeout)
			return
		}
		s.fail(408, "the request body took too long\n", traffic.FlagDownstreamTimeout)
	case awaiting, flushing:
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
