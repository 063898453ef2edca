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
		var ok bool
		if rest, ok = x.collect(b, limits.Head); !ok {
			u.arm()
			return nil
		}
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

// collect copies a head out of b until it is whole; what follows it is rest, not nil.
func (x *exchange) collect(b []byte, limit int) (rest []byte, ok bool) {
	if len(x.back) == 0 { // copy no more than the head
		end, next := http1.HeadEnd(b, 0)
		if end > 0 {
			x.back = append(x.back, b[:end]...)
			return b[end:], true
		}
		x.back, x.scanned = append(x.back, b...), next
		return nil, len(b) > limit
	}
	x.back = append(x.back, b...)
	end, next := http1.HeadEnd(x.back, x.scanned)
	if x.scanned = next; end == 0 {
		return nil, len(x.back) > limit
	}
	over := len(x.back) - end
	x.back = x.back[:end]
	return b[len(b)-over:], true
}

// passInterim passes a 1xx on to clients that know what it is. Nothing of it stays in the exchange.
func (s *session) passInterim() bool {
	x, l := s.x, s.loop
	if x.interims++; x.interims > maxInterims {
		s.fail(502, "the service broke the protocol: interim responses without end\n", traffic.FlagUpstreamProtocol)
		return false
	}
	if x.Response.Status == 100 {
		x.Flags |= traffic.FlagContinued
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
	l.down = http1.AppendResponse(l.down[:0], &x.Response, nil, f)
}

// passBody moves the response's bytes to the client, behind what l.down holds.
func (u *upstream) passBody(b []byte) {
	x, l, s := u.x, u.loop, u.x.session
	waiting := 0
	for {
		data, n, done, err := x.replied.Next(b)
		b = b[n:]
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
	case x.answer.Close || len(rest) > 0 || u.ended:
		u.close()
	default:
		u.target.put(u, x.service.timeouts.Pool)
	}
	s.last = s.last || !x.whole
	if len(l.down) > 0 {
		waiting = l.Send(s.h, l.down)
		l.down = shrink(l.down)
	}
	s.flushed(waiting)
}
