package proxy

import "github.com/redlane/redlane/traffic"

// tunnel follows a 101: the head goes to the client, and from here on bytes pass both ways. They are
// counted, not looked at, and left to the engine where it can do that alone (join.go). The exchange lasts as long as the tunnel; b came behind the head.
func (s *session) tunnel(b []byte) {
	x, l, u := s.x, s.loop, s.x.up
	x.Flags |= traffic.FlagUpgraded
	s.phase, s.last = tunnelling, true
	x.countOut(len(b))
	l.down = append(l.down, b...)
	if l.Send(s.h, l.down) > highWater {
		u.pause()
	}
	l.down = shrink(l.down)
	u.arm()
	if x.harm != nil && x.harm.shaped != nil {
		s.beginTunnelPace()
		return
	}
	s.arm()
	s.run()
	s.join()
}

// relay passes bytes of the client on.
func (s *session) relay(b []byte) {
	s.x.countIn(len(b))
	s.pass(b)
}

// pass does so with bytes that have been counted.
func (s *session) pass(b []byte) {
	s.stalled = s.loop.Send(s.x.up.h, b) > highWater
	s.arm()
	s.feel()
}

// relay passes bytes of the service on.
func (u *upstream) relay(b []byte) {
	u.x.countOut(len(b))
	u.pass(b)
}

func (u *upstream) pass(b []byte) {
	if u.loop.Send(u.x.session.h, b) > highWater {
		u.pause()
	}
	u.x.session.arm()
}

// tunnelEOF and upstreamEOF pass the end of one direction on. The other may go on for long.
func (s *session) tunnelEOF() {
	if s.x.up.ended {
		s.endTunnel()
		return
	}
	s.loop.CloseWrite(s.x.up.h)
}

func (s *session) upstreamEOF() {
	if s.ended && !s.holdsUp() {
		s.endTunnel()
		return
	}
	s.loop.CloseWrite(s.h)
}

// upstreamLost passes a reset on.
func (s *session) upstreamLost(u *upstream) {
	if s.x.stream {
		s.x.Flags |= traffic.FlagUpstreamClosed
	}
	s.x.up, u.x = nil, nil
	s.end()
	s.reset()
}

// endTunnel ends both sides, after what is on its way.
func (s *session) endTunnel() {
	u := s.x.up
	s.x.up, u.x = nil, nil
	u.close()
	s.end()
	s.close()
}
