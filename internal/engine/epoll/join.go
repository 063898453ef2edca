package epoll

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// A joint makes a connection the source of another. Bytes go through the loop's buffer while they come in
// small pieces, which costs two system calls for each, and through a pipe, without being copied, once a read
// fills the buffer.
//
//	c ── read ──► loop's buffer ── write ──► peer      what the kernel does not take is queued, and c waits
//	c ── splice ──► pipe ── splice ──► peer            what the kernel does not take stays in the pipe, and c waits
type joint struct {
	peer *conn
	pipe *pipe // nil while nothing is in flight
	held int   // bytes in the pipe
	bulk bool  // use the pipe
}

var _ engine.Joiner = (*loop)(nil)

var errPartner = errors.New("the connection it was joined with was closed")

// Join makes each of the two connections the source of the other.
func (l *loop) Join(a, b engine.Handle) bool {
	x, y := l.get(a), l.get(b)
	if x == nil || y == nil || x == y || !x.joinable(y) || !y.joinable(x) {
		return false
	}
	x.joint, y.joint = &joint{peer: y}, &joint{peer: x}
	for _, c := range [...]*conn{x, y} {
		c.paused, c.moved = false, 0
		l.later(c)
	}
	return true
}

// joinable reports whether c can be the source of to, or has nothing more to say.
func (c *conn) joinable(to *conn) bool {
	return c.open && c.joint == nil && c.broken == nil && !c.orphan && (c.eof || !to.shut)
}

// Moved is how many bytes of h were passed on.
func (l *loop) Moved(h engine.Handle) uint64 {
	if c := l.get(h); c != nil {
		return c.moved
	}
	if h == l.closing {
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
		if l.pump(c.joint.peer); c.handle != h {
			return
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	l.note(c, events)
	if l.pump(c); c.handle == h && c.odd && (c.news || c.eof) {
		if errno := c.loss(); errno != 0 { // though nobody can read it, because the peer takes nothing
			l.part(c, c.opError("read", errno))
		}
	}
}

// pump moves what c has to its peer, until it has no more, or the peer takes no more, or it has had its share.
func (l *loop) pump(c *conn) {
	if c.broken != nil {
		l.part(c, c.broken)
		return
	}
	h := c.handle
	for range readsPerTurn {
		j := c.joint
		to := j.peer
		switch {
		case to.broken != nil:
			l.part(to, to.broken)
		case to.queue.Len() > 0: // goes first; when it has gone, we are called
			return
		case j.held > 0:
			if !l.pour(c) {
				return
			}
		case c.eof:
			if !to.shut {
				to.shut = true
				socket.CloseWrite(to.fd)
			}
			if to.eof && c.shut && c.queue.Len() == 0 {
				l.part(c, io.EOF)
			}
			return
		case !c.news:
			l.giveBack(j)
			return
		case j.bulk:
			l.draw(c)
		default:
			l.carry(c)
		}
		if c.handle != h {
			return
		}
	}
	l.later(c)
}

// carry copies what one read brings.
func (l *loop) carry(c *conn) {
	to := c.joint.peer
	n, errno := socket.Read(c.fd, l.buf)
	switch {
	case n > 0:
		l.inN += uint64(n)
		c.moved += uint64(n)
		k, errno := socket.Write(to.fd, l.buf[:n])
		l.outN += uint64(k)
		if errno != 0 {
			l.part(to, to.opError("write", errno))
			return
		}
		if k < n {
			to.queue.Push(l.buf[k:n])
			l.askForRoom(to)
		}
		if n == len(l.buf) {
			c.joint.bulk = !l.noSplice
		} else if !c.odd {
			c.news, c.eof = false, c.fin
		}
	case errno == 0:
		c.news, c.eof = false, true
	case errno == unix.EAGAIN:
		c.news = false
	default:
		l.part(c, c.opError("read", errno))
	}
}

// draw fills the pipe, which is empty, from c.
func (l *loop) draw(c *conn) {
	j := c.joint
	if j.pipe == nil {
		if j.pipe = l.takePipe(); j.pipe == nil {
			j.bulk = false
			return
		}
	}
	n, errno := splice(c.fd, j.pipe.w, pipeSize)
	switch {
	case n > 0:
		l.inN += uint64(n)
		j.held = n
		j.bulk = n >= small
	case errno == 0:
		c.news, c.eof = false, true
	case errno == unix.EAGAIN:
		c.news = false
	case errno == unix.EINVAL:
		l.noSplice, j.bulk = true, false
	default:
		l.part(c, c.opError("read", errno))
	}
}

// pour empties c's pipe into its peer, and reports whether nothing is left.
func (l *loop) pour(c *conn) bool {
	j := c.joint
	n, errno := splice(j.pipe.r, j.peer.fd, j.held)
	switch {
	case errno == unix.EAGAIN:
		l.askForRoom(j.peer)
		return false
	case errno != 0:
		l.part(j.peer, j.peer.opError("write", errno))
		return false
	}
	l.outN += uint64(n)
	c.moved += uint64(n)
	if j.held -= n; j.held == 0 {
		l.askForRoom(j.peer)
	}
	return true
}

// part ends both connections of a pair: in order, or with RST for both.
func (l *loop) part(c *conn, err error) {
	other := c.joint.peer
	h := other.handle
	l.fail(c, err)
	if other.handle == h && !other.gone { // else the Handler has ended it meanwhile
		l.fail(other, err)
	}
}

// sever ends the pair of c and another, which is an orphan from now on. With keep, what was on the way to
// them is queued.
func (l *loop) sever(c *conn, keep bool) {
	for _, from := range [...]*conn{c, c.joint.peer} {
		j := from.joint
		for keep && j.held > 0 {
			n, errno := socket.Read(j.pipe.r, l.buf)
			if errno != 0 || n == 0 {
				break
			}
			j.held -= n
			j.peer.queue.Push(l.buf[:n])
		}
		l.giveBack(j)
	}
	other := c.joint.peer
	c.joint, other.joint, other.orphan = nil, nil, true
}

// leave takes c out of its pair because the Handler ends it. The other hears so, unless it is ended too.
func (l *loop) leave(c *conn) {
	other := c.joint.peer
	l.sever(c, true)
	l.later(other)
}
