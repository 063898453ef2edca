package proxy

import (
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// maxInterims bounds the 1xx responses before the one that counts.
const maxInterims = 64

// respond takes bytes of the response: interim heads, the head that counts, the body.
func (u *upstream) respond(b []byte) {
	x, l := u.x, u.loop
	if x.FirstByte == 0 {
		x.FirstByte = x.since(l.Now())
	}
	l.down = l.down[:0]
	for !x.answered {
		if b = u.readHead(b); b == nil {
			return
		}
	}
	if x.answer.Kind == http1.Tunnel {
		x.session.tunnel(b)
		return
	}
	u.passBody(b)
}

// readHead reads one head and returns what follows it, nil when there is nothing more to do now.
func (u *upstream) readHead(b []byte) (rest []byte) {
	x, l, s := u.x, u.loop, u.x.session
	limits := &l.proxy.cfg.Limits
	n, err := u.parseAtOnce(b)
	rest = b[n:]
	if n == 0 && err == nil {
		var whole bool
		if x.back, n, x.scanned, whole = http1.CollectHead(x.back, b, x.scanned, limits); !whole {
			u.arm()
			return nil
		}
		rest = b[n:]
		n, err = http1.ParseResponse(x.back, x.Request.Method, &x.Response, &x.answer, limits)
		x.scanned = 0
	}
	switch {
	case err != nil:
		s.fail(502, "the service broke the protocol: "+err.Error()+"\n", traffic.FlagUpstreamProtocol)
		return nil
	case n == 0 || x.answer.Kind == http1.Tunnel && !x.asked.Upgrade:
		s.fail(502, "the service broke the protocol: it switched unasked\n", traffic.FlagUpstreamProtocol)
		return nil
	case x.Response.Status < 200 && x.Response.Status != 101:
		if !s.passInterim() {
			return nil
		}
		return rest
	}
	s.passHead()
	return rest
}

// parseAtOnce reads a head that has come in one piece and is not large, as nearly all have and are: looking
// for its end first would cost as much again. n is 0 where that cannot be.
func (u *upstream) parseAtOnce(b []byte) (n int, err error) {
	x := u.x
	if len(x.back) > 0 {
		return 0, nil
	}
	x.back = append(x.back, b[:min(len(b), wholeMax)]...)
	n, err = http1.ParseResponse(x.back, x.Request.Method, &x.Response, &x.answer, &u.loop.proxy.cfg.Limits)
	x.back = x.back[:n]
	return n, err
}

// passInterim passes a 1xx on to clients that know what it is. Of it a flag stays in the exchange.
func (s *session) passInterim() bool {
	x, l := s.x, s.loop
	if x.interims++; x.interims > maxInterims {
		s.fail(502, "the service broke the protocol: interim responses without end\n", traffic.FlagUpstreamProtocol)
		return false
	}
	if x.Response.Status == 100 {
		x.Flags |= traffic.FlagContinued
	} else {
		x.Flags |= traffic.FlagInterim
	}
	if x.Request.Minor > 0 {
		l.down = http1.AppendResponse(l.down[:0], &x.Response, nil, http1.Framing{})
		l.Send(s.h, l.down)
		l.down = l.down[:0]
	}
	x.Response.Reset()
	x.back = x.back[:0]
	x.up.arm()
	return true
}

// passHead puts the final head into l.down.
func (s *session) passHead() {
	x, l := s.x, s.loop
	x.answered = true
	x.replied.Init(x.answer, nil)
	// A client that waits for 100 Continue and gets an answer may or may not send its body now.
	unsure := !x.whole && x.asked.Expect100 && !x.Flags.Has(traffic.FlagContinued)
	over := s.ended && len(s.in) == 0 || !x.whole && x.answer.Close
	s.last = s.last || over || unsure || s.leaving && len(s.in) == 0 // what it has sent already is still answered
	f := x.answer.ForClient(x.Request.Minor, s.last)
	x.down, s.last = f.Kind, f.Close
	if x.harm != nil && x.harm.patched != nil && s.patchHead(f) {
		return
	}
	l.down = http1.AppendResponse(l.down[:0], &x.Response, nil, f)
}

// passBody moves the response's bytes to the client, behind what l.down holds.
func (u *upstream) passBody(b []byte) {
	x, l, s := u.x, u.loop, u.x.session
	waiting := 0
	for {
		data, n, done, err := x.replied.Next(b)
		b = b[n:]
		if x.harm != nil {
			data = s.patchPiece(data, done, err != nil)
			if done && s.lingers() {
				u.holdLast(data, b)
				return
			}
		}
		x.tellResponse(data)
		if w := l.gather(&l.down, s.h, data, x.down); w > 0 {
			waiting = w
		}
		if err != nil {
			l.Send(s.h, l.down)
			s.cut(traffic.FlagUpstreamProtocol)
			return
		}
		if done {
			x.Response.Trailers = x.replied.Trailers()
			u.complete(b, waiting)
			return
		}
		if len(b) == 0 {
			break
		}
	}
	if len(l.down) > 0 {
		waiting = l.Send(s.h, l.down)
		l.down = shrink(l.down)
	}
	if waiting > highWater {
		u.pause()
	}
	u.arm()
	if u.paused {
		s.arm()
	}
}

// complete ends the response: the connection goes back to its pool when it can be used again, and the
// exchange is over as soon as the kernel has all of it.
func (u *upstream) complete(rest []byte, waiting int) {
	x, l, s := u.x, u.loop, u.x.session
	if x.down == http1.Chunked {
		l.down = http1.AppendLastChunk(l.down, x.Response.Trailers)
	}
	x.up, u.x = nil, nil
	switch {
	case !x.whole: // the rest of the request will never come
		u.reset()
	case x.answer.Close || len(rest) > 0 || u.ended || x.harm.unclean():
		u.close()
	default:
		u.target.put(u, x.service.timeouts.Pool)
	}
	s.last = s.last || !x.whole || x.harm.owes()
	if len(l.down) > 0 {
		waiting = l.Send(s.h, l.down)
		l.down = shrink(l.down)
	}
	s.flushed(waiting)
}
