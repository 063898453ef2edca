package proxy

import (
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

type handle = engine.Handle

// An upstream is a connection to an endpoint: being opened, lent to one exchange, or idle in its pool.
type upstream struct {
	loop   *loop
	h      handle
	target *target
	x      *exchange // the one it works for

	open   bool
	used   bool // it has served an exchange before
	ended  bool // the service sends no more
	paused bool // the client is slower than the service
}

// opened lends the new connection to the exchange that asked for it. Where that has gone, it is kept.
func (u *upstream) opened() {
	u.open = true
	u.target.failures = 0
	u.loop.stats.connects.Add(1)
	if u.x == nil {
		u.target.put(u, u.target.keep)
		return
	}
	s := u.x.session
	s.send(u)
	s.run()
}

func (u *upstream) data(b []byte) {
	switch {
	case u.x != nil && u.x.harm != nil && u.x.session.paced():
		u.come(b)
	case u.x == nil: // nobody asked: an answer to come would be taken for that to the next request
		u.target.remove(u)
		u.close()
	case u.x.session.phase == tunnelling:
		u.relay(b)
	default:
		u.respond(b)
	}
}

func (u *upstream) writable() {
	x := u.x
	if x == nil {
		return
	}
	s := x.session
	s.stalled = false
	u.arm()
	s.arm()
	s.run()
}

// eof means that the service sends no more, which may be how its response ends.
func (u *upstream) eof() {
	if !u.holds() {
		u.finished()
	}
}

func (u *upstream) finished() {
	u.ended = true
	switch x := u.x; {
	case x == nil:
		u.target.remove(u)
		u.close()
	case x.session.phase == tunnelling:
		x.session.upstreamEOF()
	case x.answered:
		if done, _ := x.replied.AtEOF(); done {
			u.loop.down = u.loop.down[:0]
			u.complete(nil, u.passLast())
			return
		}
		x.session.cut(traffic.FlagUpstreamClosed)
	default:
		u.gone()
		u.close()
	}
}

func (u *upstream) closed(err error) {
	u.broke()
	x := u.x
	switch {
	case !u.open:
		u.target.unopened(u)
	case x == nil:
		u.target.remove(u)
	case x.joined:
		x.session.unjoined(err, traffic.FlagUpstreamClosed)
	case x.session.phase == tunnelling:
		x.session.upstreamLost(u)
	case x.answered:
		x.session.cut(traffic.FlagUpstreamClosed)
	default:
		u.gone()
	}
}

// gone takes the exchange away from a connection that died before it answered.
func (u *upstream) gone() {
	x := u.x
	x.up, u.x = nil, nil
	x.session.lost(u)
}

// pause and unpause pass the client's back-pressure on to the service.
func (u *upstream) pause() {
	u.paused = true
	u.loop.Pause(u.h)
}

func (u *upstream) unpause() {
	if u.paused {
		u.paused = false
		if u.x == nil || u.x.harm == nil || !u.x.harm.full {
			u.loop.Resume(u.h)
		}
		u.arm()
	}
}

func (u *upstream) close() {
	u.loop.drop(u.h)
	u.loop.Close(u.h)
}

func (u *upstream) reset() {
	u.loop.drop(u.h)
	u.loop.Reset(u.h)
}
