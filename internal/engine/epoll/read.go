package epoll

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
	"github.com/redlane/redlane/internal/invariant"
)

// readsPerTurn is how often one connection is read before the others have their turn: a quarter of a
// megabyte takes some 100 us.
const readsPerTurn = 4

// read hands over what c has, until it has no more or has had its share. A read that leaves room in the
// buffer has taken everything: what comes after it is a new event, so the read that would say "nothing" is saved.
func (l *loop) read(c *conn) {
	switch {
	case c.broken != nil:
		l.breaking(c)
		return
	case c.gone:
		l.discard(c)
		return
	case c.paused, c.eof:
		l.lookForLoss(c)
		return
	}
	h := c.handle
	for range readsPerTurn {
		n, errno := socket.Read(c.fd, l.buf)
		switch {
		case n > 0:
			l.handOver(c, n)
			switch {
			case c.handle != h:
				return
			case c.joint != nil, c.orphan: // in the ready list
				return
			case c.gone, c.broken != nil:
				l.later(c)
				return
			case n < len(l.buf) && !c.odd && !c.fin && !l.mixed():
				c.news = false
				return
			case c.paused:
				return
			case n < len(l.buf) && !c.odd && !l.mixed():
				l.ended(c)
				return
			}
		case errno == 0:
			l.ended(c)
			return
		case errno == unix.EAGAIN:
			c.news = false
			return
		default:
			l.fail(c, c.opError("read", errno))
			return
		}
	}
	l.later(c)
}

// mixed reports whether a read that left room may have left bytes too: a connection that is shortened
// within the machine has two queues, and one read takes from one of them.
func (l *loop) mixed() bool {
	m := l.driver.cfg.Mixed
	return m != nil && atomic.LoadUint64(m) != 0
}

func (l *loop) handOver(c *conn, n int) {
	l.inN += uint64(n)
	l.handler.OnData(c.handle, l.buf[:n:n])
	invariant.Poison(l.buf[:n])
}

// ended tells of the peer's FIN. A reset that came right behind it had the same event, and no read shows it.
func (l *loop) ended(c *conn) {
	h := c.handle
	c.news, c.eof = false, true
	l.handler.OnEOF(h)
	if c.odd && c.handle == h && !c.gone && c.joint == nil && !c.orphan {
		l.lookForLoss(c)
	}
}

// lookForLoss finds a reset of a connection that is not being read. Bytes that came before it are still
// there to be read after Resume, so it is reported here only when there are none.
func (l *loop) lookForLoss(c *conn) {
	if !c.odd {
		return
	}
	if errno := c.loss(); errno != 0 {
		l.fail(c, c.opError("read", errno))
	}
}

// loss takes the error that is pending, when there are no bytes before it.
func (c *conn) loss() unix.Errno {
	if c.eof { // a read returns 0 for ever; the error has to be asked for
		return socket.Err(c.fd)
	}
	_, errno := socket.Peek(c.fd)
	if errno == unix.EAGAIN {
		return 0
	}
	return errno
}

// breaking reports that c is broken, after the bytes that the peer sent before it went away: they may be
// the answer that explains it. A Handler that paused c might be waiting for OnWritable: it hears at once.
func (l *loop) breaking(c *conn) {
	h := c.handle
	for range readsPerTurn {
		if c.gone || c.paused || c.eof {
			break
		}
		n, errno := socket.Read(c.fd, l.buf)
		if n == 0 || errno != 0 {
			break
		}
		if l.handOver(c, n); c.handle != h {
			return
		}
	}
	if c.gone {
		l.release(c)
		return
	}
	l.fail(c, c.broken)
}

// discard throws away what comes after Close: closing over unread bytes would send RST, and cost the peer
// the last of what is queued.
func (l *loop) discard(c *conn) {
	for range readsPerTurn {
		if c.eof {
			return
		}
		n, errno := socket.Read(c.fd, l.buf)
		switch {
		case errno == unix.EAGAIN:
			c.news = false
			return
		case n == 0:
			c.news, c.eof = false, true // when it was an error, writing finds out
			return
		}
	}
	l.later(c)
}
