package goroutine

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/loopkit"
)

// read is the reader: it waits for bytes without a page, hands them over, and closes the descriptor when
// the connection has ended.
func (c *conn) read() {
	for c.step(c.raw.Read(c.readFn)) {
	}
	if c.in != nil {
		loopkit.PutPage(c.in)
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
	p := loopkit.GetPage()
	for {
		n, err := unix.Read(int(fd), p.B[:])
		if n > 0 {
			p.N, c.in = n, p
			return true
		}
		if err == unix.EINTR {
			continue
		}
		loopkit.PutPage(p)
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
		c.loop.in.Add(uint64(p.N))
		h.OnData(c.handle, p.B[:p.N])
		loopkit.PutPage(p)
	case errors.Is(c.inErr, io.EOF) && (!c.shut || c.flushing) && c.wasReset(): // our FIN comes after what is being flushed
		c.fail(c.opError("read", unix.ECONNRESET))
	case errors.Is(c.inErr, io.EOF):
		c.inErr, c.eof = nil, true
		c.quiet.Store(true)
		h.OnEOF(c.handle)
	case c.inErr != nil:
		c.fail(c.inErr)
	}
}

// wasReset tells a reset from an end. The error of a reset is told once, and it may be a write that hears it:
// reading then finds no bytes, which looks like FIN. But after FIN the kernel waits for ours.
func (c *conn) wasReset() (yes bool) {
	_ = c.raw.Control(func(fd uintptr) { // an error means that it is closed here: nobody asks any more
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		yes = err == nil && info.State == unix.BPF_TCP_CLOSE
	})
	return yes
}

// discard throws away what came after Close. It reports whether more may come.
func (c *conn) discard() bool {
	if c.in != nil {
		loopkit.PutPage(c.in)
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
