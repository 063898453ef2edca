package epoll

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

var _ engine.Joiner = (*loop)(nil)

var errPartner = errors.New("the connection it was joined with was closed")

// Join makes each of the two connections the source of the other.
func (l *loop) Join(a, b engine.Handle) bool {
	x, y := l.get(a), l.get(b)
	if x == nil || y == nil || x == y || !x.joinable(y) || !y.joinable(x) {
		return false
	}
	x.partner, y.partner = y, x
	for _, c := range [...]*conn{x, y} {
		c.joint = &loopkit.End{FD: c.fd, Queue: &c.queue, EOF: c.eof, Shut: c.shut, News: c.news, Fin: c.fin, Odd: c.odd}
		c.paused, c.moved = false, 0
		l.later(c)
	}
	loopkit.Pair(x.joint, y.joint)
	return true
}

// joinable reports whether c can be the source of to, or has nothing more to say.
func (c *conn) joinable(to *conn) bool {
	return c.open && c.joint == nil && c.broken == nil && !c.orphan && (c.eof || !to.shut)
}

// Moved is how many bytes of h were passed on.
func (l *loop) Moved(h engine.Handle) uint64 {
	c := l.get(h)
	switch {
	case c != nil && c.joint != nil:
		return c.joint.Moved
	case c != nil:
		return c.moved
	case h == l.closing:
		return l.closingMoved
	}
	return 0
}

// toldJoined sorts out what epoll says of a joined connection.
func (l *loop) toldJoined(c *conn, events uint32) {
	h := c.handle
	if events&unix.EPOLLOUT != 0 {
		if c.queue.Len() > 0 {
			l.flush(c)
		}
		if l.pump(c.partner); c.handle != h || c.joint == nil {
			return
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	l.note(c, events)
	c.joint.News, c.joint.Fin, c.joint.Odd = true, c.fin, c.odd
	if l.pump(c); c.handle == h && c.joint != nil {
		if errno := c.joint.Lost(); errno != 0 { // though nobody can read it, because the peer takes nothing
			l.part(c, c.opError("read", errno))
		}
	}
}

// pump moves what c has to its peer.
func (l *loop) pump(c *conn) {
	to := c.partner
	switch {
	case c.broken != nil:
		l.part(c, c.broken)
		return
	case to.broken != nil:
		l.part(to, to.broken)
		return
	}
	r := l.mover.Move(c.joint)
	l.askForRoom(to)
	switch {
	case r.At == c.joint:
		l.part(c, c.opError(r.Act, r.Errno))
	case r.At != nil:
		l.part(to, to.opError(r.Act, r.Errno))
	case r.Over:
		l.part(c, io.EOF)
	case r.Again:
		l.later(c)
	}
}

// part ends both connections of a pair: in order, or with RST for both.
func (l *loop) part(c *conn, err error) {
	other := c.partner
	h := other.handle
	l.fail(c, err)
	if other.handle == h && !other.gone { // else the Handler has ended it meanwhile
		l.fail(other, err)
	}
}

// sever ends the pair of c and another, which is an orphan from now on. With keep, what was on the way to
// them is queued.
func (l *loop) sever(c *conn, keep bool) {
	other := c.partner
	l.mover.Part(c.joint, keep)
	for _, c := range [...]*conn{c, other} {
		c.moved, c.eof, c.shut, c.news = c.joint.Moved, c.joint.EOF, c.joint.Shut, c.joint.News
		c.joint, c.partner = nil, nil
	}
	other.orphan = true
}

// leave takes c out of its pair because the Handler ends it. The other hears so, unless it is ended too.
func (l *loop) leave(c *conn) {
	other := c.partner
	l.sever(c, true)
	l.later(other)
}
