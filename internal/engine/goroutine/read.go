package goroutine

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// read is the reader: it waits for bytes without a page, hands them over, and closes the descriptor when
// the connection has ended.
func (c *conn) read() {
	for c.step(c.raw.Read(c.readFn)) {
	}
	if c.in != nil {
		putPage(c.in)
		c.in = nil
	}
}

// readable is called by the runtime before it waits and whenever the socket has news. It reads, and
// reports whether the wait is over. The page is taken only around the system call, so that an idle
// connection holds none.
func (c *conn) readable(fd uintptr) bool {
	if c.quiet.Load() {
		c.skipped.Store(true)
		if c.quiet.Load() { // still: whoever clears quiet from now on sees skipped and wakes us
			return c.failed.Load() || c.isLost(int(fd))
		}
	}
	if c.in != nil || c.inErr != nil {
		return true
	}
	p := getPage()
	for {
		n, err := unix.Read(int(fd), p.b[:])
		if n > 0 {
			p.n, c.in = n, p
			return true
		}
		if err == unix.EINTR {
			continue
		}
		putPage(p)
		switch err {
		case unix.EAGAIN:
			return c.failed.Load()
		case nil:
			c.inErr = io.EOF
		default:
			c.inErr = c.opError("read", err)
		}
		return true
	}
}

// isLost looks for a reset on a connection that is not being read. Bytes that came before the reset are
// still there to be read after Resume, so it is reported here only when there are none.
func (c *conn) isLost(fd int) bool {
	look := [1]unix.PollFd{{Fd: int32(fd)}}
	if n, _ := unix.Poll(look[:], 0); n <= 0 || look[0].Revents&unix.POLLERR == 0 || c.in != nil {
		return false
	}
	if c.eof || c.inErr != nil {
		// After FIN a read returns 0 for ever; the error has to be asked for.
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
			c.lost = c.opError("read", unix.Errno(code))
		}
		return c.lost != nil
	}
	var b [1]byte
	if _, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err != nil && err != unix.EAGAIN && err != unix.EINTR {
		c.lost = c.opError("read", err)
	}
	return c.lost != nil
}

// step takes the lock after a wait and tells the Handler what came of it. It reports whether the reader
// goes on.
func (c *conn) step(err error) bool {
	c.loop.lock()
	if !c.gone {
		c.event(err)
	}
	gone, linger := c.gone, c.linger
	if linger {
		linger = c.discard()
		c.unread = !linger
		c.loop.unlock()
		return linger
	}
	c.loop.unlock()
	if gone {
		c.socket.Close()
	}
	return !gone
}

func (c *conn) event(err error) {
	h := c.loop.handler
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // we were woken: look again
		c.socket.SetReadDeadline(time.Time{})
	case err != nil:
		c.fail(err)
	case c.lost != nil:
		c.fail(c.lost)
	case c.broken != nil && (c.paused || c.in == nil): // after what the peer said before it went
		c.fail(c.broken)
	case c.paused:
	case c.in != nil:
		p := c.in
		c.in = nil
		c.loop.in.Add(uint64(p.n))
		h.OnData(c.handle, p.b[:p.n])
		putPage(p)
	case errors.Is(c.inErr, io.EOF):
		c.inErr, c.eof = nil, true
		c.quiet.Store(true)
		h.OnEOF(c.handle)
	case c.inErr != nil:
		c.fail(c.inErr)
	}
}

// discard throws away what came after Close. It reports whether more may come.
func (c *conn) discard() bool {
	if c.in != nil {
		putPage(c.in)
		c.in = nil
	}
	c.socket.SetReadDeadline(time.Time{})
	return c.inErr == nil && c.lost == nil
}

// opError words an error of a system call as package net does: act, addresses, cause.
func (c *conn) opError(act string, err error) error {
	return &net.OpError{
		Op: act, Net: c.socket.LocalAddr().Network(), Source: c.socket.LocalAddr(), Addr: c.socket.RemoteAddr(),
		Err: os.NewSyscallError(act, err),
	}
}
