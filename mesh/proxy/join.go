package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/redlane/redlane/traffic"
)

// joinedLook is how often joined connections are looked at, at most: so old may the byte counters be.
const joinedLook = 5 * time.Second

// join leaves both sides of a tunnel to the engine, where it can move bytes on its own (splice): nothing of
// a tunnel is looked at. Where one side has ended already, or the engine cannot, bytes go on through here.
func (s *session) join() {
	l, x := s.loop, s.x
	if l.joiner == nil || s.phase != tunnelling || s.ended || x.up.ended {
		return
	}
	s.stalled = false // the engine keeps the pace of joined connections
	s.feel()
	x.up.unpause()
	if !l.joiner.Join(s.h, x.up.h) {
		return
	}
	x.joined = true
	s.arm()
}

// look is the timer of joined connections: it counts, and ends a tunnel that has carried nothing for long.
func (s *session) look() {
	x := s.x
	if x.quiet += s.lookEvery(); s.countJoined() {
		x.quiet = 0
	}
	if x.quiet >= x.service.timeouts.Idle {
		s.endTunnel()
		return
	}
	s.arm()
}

// lookEvery divides the idle time, so that a tunnel ends at most a quarter of it late.
func (s *session) lookEvery() time.Duration {
	return min(s.x.service.timeouts.Idle/4+1, joinedLook)
}

// countJoined adds what the engine has moved since it was asked last, and reports whether that is anything.
func (s *session) countJoined() bool {
	x, j := s.x, s.loop.joiner
	in, out := j.Moved(s.h), j.Moved(x.up.h)
	x.countIn(int(in - x.movedIn))
	x.countOut(int(out - x.movedOut))
	moved := in != x.movedIn || out != x.movedOut
	x.movedIn, x.movedOut = in, out
	return moved
}

// unjoined follows the first OnClosed of two joined connections. The other comes too, and means nothing then.
func (s *session) unjoined(err error, flag traffic.Flags) {
	s.countJoined()
	x, u := s.x, s.x.up
	switch {
	case s.loop.proxy.stopping.Load():
		x.Flags |= traffic.FlagDraining
	case x.stream && !errors.Is(err, io.EOF):
		x.Flags |= flag
	}
	x.up, u.x = nil, nil
	s.end()
	s.free()
}

// countIn and countOut count the bytes of a tunnel: from the client, from the service.
func (x *exchange) countIn(n int) {
	x.Request.BodySize += int64(n)
	if x.tally != nil {
		x.tally.in.Add(uint64(n))
	}
}

func (x *exchange) countOut(n int) {
	x.Response.BodySize += int64(n)
	if x.tally != nil {
		x.tally.out.Add(uint64(n))
	}
}
