package proxy

import (
	"time"

	"github.com/redlane/redlane/internal/wire/http1"
)

// Where the end of a response is to come later, what tells it is held back: the last byte, or the last chunk. A
// response that ends with its connection is held by the service's end, see upstream.holds.
type lastByte struct {
	came  time.Time // the end of the response; zero: not yet
	last  []byte    // the byte
	dirty bool      // more came behind it, and makes the connection useless
}

// lingers reports whether the end of the response, which has just come, is to wait.
func (s *session) lingers() bool {
	x := s.x
	h := x.harm
	return s.paced() && h.down.shape.Linger > 0 && h.came.IsZero() && (x.down == http1.Length || x.down == http1.Chunked)
}

// holdLast sends the last piece of the response but for what tells that it is one.
func (u *upstream) holdLast(data, rest []byte) {
	x, l := u.x, u.loop
	h := x.harm
	h.came, h.last, h.dirty = l.Now(), h.last[:0], len(rest) > 0
	if n := len(data) - 1; x.down == http1.Length && n >= 0 {
		h.last = append(h.last, data[n])
		data = data[:n]
	}
	x.tellResponse(data)
	waiting := l.gather(&l.down, x.session.h, data, x.down)
	if len(l.down) > 0 {
		waiting = l.Send(x.session.h, l.down)
		l.down = shrink(l.down)
	}
	if waiting > highWater {
		u.pause()
	}
	l.Arm(u.h, 0)
	x.session.rearm(x, h)
}

// lateDue is when the rest is to be sent; zero where nothing is held.
func (h *harm) lateDue() time.Time {
	if h.came.IsZero() {
		return h.came
	}
	return h.came.Add(h.down.shape.Linger)
}

// sendLast ends the response.
func (u *upstream) sendLast() {
	x, l := u.x, u.loop
	h := x.harm
	x.tellResponse(h.last)
	l.down = l.down[:0]
	waiting := l.gather(&l.down, x.session.h, h.last, x.down)
	x.Response.Trailers = x.replied.Trailers()
	u.ended = u.ended || h.dirty
	u.complete(nil, waiting)
}
