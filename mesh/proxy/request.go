package proxy

import (
	"errors"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// Water marks of one direction of an exchange.
const (
	highWater = 64 << 10 // bytes waiting at which whoever feeds them is paused; it goes on when none waits
	direct    = 8 << 10  // from here on sending on its own is cheaper than copying behind what goes before
)

// send passes the request to u: the head, and what has come of the body with it in one write.
func (s *session) send(u *upstream) {
	x, l := s.x, s.loop
	if x.stream {
		s.openStream(u)
		return
	}
	x.up, u.x, x.reached = u, x, true
	x.DstAddr = u.target.addrPort
	s.phase = sending
	if x.harm != nil && x.harm.shaped != nil {
		s.beginPace()
		s.arm()
		return
	}
	l.up = s.requestHead(l.up[:0])
	s.passBody(true)
}

// requestHead puts the head for the service behind dst.
func (s *session) requestHead(dst []byte) []byte {
	f := s.x.asked
	f.Close, f.KeepAlive = false, false
	return http1.AppendRequest(dst, &s.x.Request, s.x.Edits, f)
}

// readBody passes on what has come of the request body.
func (s *session) readBody() bool {
	if s.stalled || len(s.in) == 0 {
		return false
	}
	s.loop.up = s.loop.up[:0]
	s.passBody(false)
	return true
}

// passBody moves body bytes from in to the endpoint, behind what l.up holds.
func (s *session) passBody(first bool) {
	x, l, u := s.x, s.loop, s.x.up
	waiting := 0
	for waiting <= highWater {
		data, n, done, err := x.body.Next(s.in)
		s.in = s.in[n:]
		x.taken += n
		x.tellRequest(data)
		waiting = l.gather(&l.up, u.h, data, x.asked.Kind)
		if err != nil {
			s.fail(statusOf(err), err.Error()+"\n", traffic.FlagDownstreamProtocol)
			return
		}
		if done {
			if x.asked.Kind == http1.Chunked {
				x.Request.Trailers = x.body.Trailers()
				l.up = http1.AppendLastChunk(l.up, x.Request.Trailers)
			}
			x.whole = true
			break
		}
		if len(s.in) == 0 {
			break
		}
	}
	if len(l.up) > 0 {
		waiting = l.Send(u.h, l.up)
		l.up = shrink(l.up)
	}
	if x.whole {
		s.phase = awaiting
		if x.harm != nil {
			s.copyRequest(false)
		}
	}
	s.stalled = waiting > highWater
	if first || x.whole || s.stalled {
		u.arm()
	}
	if !x.whole || !first {
		s.arm()
	}
}

// gather puts data behind *buf, framed as kind asks, and sends when there is much of it. It returns how
// many bytes wait to be sent after that, as far as this call knows.
func (l *loop) gather(buf *[]byte, h handle, data []byte, kind http1.BodyKind) (waiting int) {
	switch {
	case len(data) == 0:
	case kind == http1.Chunked:
		*buf = http1.AppendChunk(*buf, data)
	case len(data) < direct:
		*buf = append(*buf, data...)
	default:
		if len(*buf) > 0 {
			l.Send(h, *buf)
			*buf = (*buf)[:0]
		}
		return l.Send(h, data)
	}
	if len(*buf) >= highWater {
		waiting = l.Send(h, *buf)
		*buf = (*buf)[:0]
	}
	return waiting
}

// shrink empties a loop's buffer and lets an unusually large one go.
func shrink(b []byte) []byte {
	if cap(b) > 4*highWater {
		return nil
	}
	return b[:0]
}

// statusOf is the answer an error of the parser deserves.
func statusOf(err error) int {
	if e, ok := errors.AsType[*http1.Error](err); ok {
		return e.Status
	}
	return 400
}

// tellRequest counts body bytes and shows them to those who look at bodies.
func (x *exchange) tellRequest(b []byte) {
	if len(b) == 0 {
		return
	}
	x.Request.BodySize += int64(len(b))
	if x.harm != nil {
		x.harm.record(b)
	}
	for _, f := range x.service.chain.bodies {
		if f.at < x.depth {
			f.RequestBody(&x.Exchange, b)
		}
	}
}

func (x *exchange) tellResponse(b []byte) {
	if len(b) == 0 {
		return
	}
	x.Response.BodySize += int64(len(b))
	for _, f := range x.service.chain.bodies {
		if f.at < x.depth {
			f.ResponseBody(&x.Exchange, b)
		}
	}
}
