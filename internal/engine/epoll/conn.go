package epoll

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// A conn is one connection. It goes back to its loop when it ends, so whoever calls the Handler looks
// afterwards whether the handle is still the one it knew.
type conn struct {
	handle engine.Handle
	fd     int // -1: none yet

	open   bool // connected
	gone   bool // the Handler closed it while bytes were queued: only the queue keeps it
	paused bool
	eof    bool // OnEOF was called, or in a connection that is gone: nothing more to read
	shut   bool // CloseWrite was called
	queued bool // in the loop's ready list

	news bool // the socket may have bytes, an end or an error that nobody has read
	fin  bool // the peer has sent FIN: a read that leaves room in the buffer has taken all that comes before it
	odd  bool // an error or urgent data: a read that leaves room may not have taken everything

	joint   *loopkit.End // nil unless joined
	partner *conn        // it is joined with
	orphan  bool         // the connection it was joined with is gone
	moved   uint64       // bytes passed on since Join; joint has it until that ends

	local bool // a unix socket
	asked bool // a unix socket that is watched for room to write

	queue  loopkit.Queue
	broken error // why nothing can be sent any more; why the dial failed
	timer  loopkit.Timer[conn]
	limit  loopkit.Timer[conn] // of a dial, and of a connection that is gone
	again  loopkit.Timer[conn] // of a write that was told to hold
	held   time.Duration       // for how long, the last time

	here  netip.AddrPort // for errors
	there socket.Addr
}

const (
	timerConn = iota
	timerLimit
	timerAgain
	timerAccept
)

// newConn makes a connection with a handle.
func (l *loop) newConn(fd int) *conn {
	var c *conn
	if n := len(l.unused); n > 0 {
		c, l.unused = l.unused[n-1], l.unused[:n-1]
	} else {
		c = new(conn)
		c.timer.Owner, c.timer.Kind = c, timerConn
		c.limit.Owner, c.limit.Kind = c, timerLimit
		c.again.Owner, c.again.Kind = c, timerAgain
	}
	c.fd = fd
	c.handle = l.conns.Add(c)
	return c
}

// A TCP socket says that there is room to write only after a write that found none, so it is watched for
// that from the beginning. A unix socket says so whenever its peer has read something: that would wake the loop for
// every message sent.
const (
	watchTCP   = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET
	watchLocal = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
)

func (l *loop) watchConn(c *conn) error { return l.control(c, unix.EPOLL_CTL_ADD) }

func (l *loop) control(c *conn, op int) error {
	e := unix.EpollEvent{Events: watchTCP, Fd: int32(c.handle.Index()), Pad: int32(c.handle >> 32)}
	if c.local {
		e.Events = watchLocal
		if c.asked {
			e.Events |= unix.EPOLLOUT
		}
	}
	return unix.EpollCtl(l.poller, op, c.fd, &e)
}

// askForRoom watches a unix socket for room to write while bytes wait for it.
func (l *loop) askForRoom(c *conn) {
	if want := c.queue.Len() > 0 || c.joint != nil && c.partner.joint.Held() > 0; c.local && c.asked != want {
		c.asked = want
		_ = l.control(c, unix.EPOLL_CTL_MOD) // fails only for a descriptor that is not watched
	}
}

// told sorts out what epoll says of an open connection.
func (l *loop) told(c *conn, events uint32) {
	switch {
	case c.joint != nil:
		l.toldJoined(c, events)
		return
	case c.orphan: // comes from the ready list
		return
	}
	h := c.handle
	if events&unix.EPOLLOUT != 0 && c.queue.Len() > 0 {
		if l.flush(c); c.handle != h {
			return
		}
	}
	if events &^= unix.EPOLLOUT; events != 0 {
		l.note(c, events)
		l.read(c)
	}
}

// note remembers news until somebody reads.
func (l *loop) note(c *conn, events uint32) {
	c.news = true
	c.fin = c.fin || events&unix.EPOLLRDHUP != 0
	c.odd = c.odd || events&(unix.EPOLLERR|unix.EPOLLPRI) != 0
}

// fail ends c and tells the Handler why.
func (l *loop) fail(c *conn, err error) {
	h := c.handle
	if c.open {
		l.driver.stats.Open.Add(-1)
	}
	if c.joint != nil {
		c.moved = c.joint.Moved
	}
	l.closing, l.closingMoved = h, c.moved
	if (c.joint != nil || c.orphan) && !errors.Is(err, io.EOF) {
		l.abandon(c) // its peer is to see that something is missing
	} else {
		l.release(c)
	}
	l.handler.OnClosed(h, err)
	l.closing = 0
}

// release closes c and makes its handle void.
func (l *loop) release(c *conn) {
	if c.joint != nil {
		l.sever(c, false)
	}
	if c.fd >= 0 {
		socket.Close(c.fd)
	}
	l.conns.Remove(c.handle)
	l.wheel.Remove(&c.timer)
	l.wheel.Remove(&c.limit)
	l.wheel.Remove(&c.again)
	c.queue.Drop()
	*c = conn{fd: -1, timer: c.timer, limit: c.limit, again: c.again}
	l.unused = append(l.unused, c)
}

// opError words an error of a system call.
func (c *conn) opError(act string, err error) error {
	here := c.here
	if !here.IsValid() && c.fd >= 0 {
		here = socket.Local(c.fd)
	}
	return socket.OpError(act, here, c.there, err)
}
