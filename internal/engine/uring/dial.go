package uring

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// errTimeout is a net.Error whose Timeout is true.
var errTimeout = os.ErrDeadlineExceeded

// Dial starts to connect. timeout <= 0 leaves it to the kernel to give up. When Run is ending it returns 0
// and nothing follows.
func (l *loop) Dial(addr string, timeout time.Duration) engine.Handle {
	l.serial.Inside("Dial called outside of an event")
	if l.stopped {
		return 0
	}
	to, err := socket.Parse(addr)
	fd, open := -1, false
	if err == nil {
		fd, err = socket.New(to)
	}
	if err == nil {
		open, err = socket.Connect(fd, to)
	}
	c := l.add(fd, to)
	switch {
	case err != nil:
		c.failed = err
		c.later()
	case open:
		c.later()
	default:
		s := c.start(forPoll)
		s.op, s.opFlags = opPollAdd, unix.POLLOUT
		c.pollOn = true
		if timeout > 0 {
			l.wheel.Arm(&c.limit, l.after(l.Now(), timeout))
		}
	}
	return c.handle
}

// connected follows the end of the connect, however it ended.
func (c *conn) connected() {
	l := c.loop
	if c.failed == nil {
		c.failed = socket.Connected(c.fd, c.remote)
	}
	if c.failed != nil {
		c.dialFailed(c.failed)
		return
	}
	l.wheel.Stop(&c.limit)
	c.opened()
	l.driver.stats.Dialled.Add(1)
	if c.queue.Len() > 0 {
		c.mark()
	} else if c.shut {
		socket.CloseWrite(c.fd)
	}
	l.enter()
	l.handler.OnDial(c.handle)
	l.leave()
}

func (c *conn) dialFailed(err error) {
	c.loop.driver.stats.DialErrors.Add(1)
	c.fail(socket.OpError("dial", netip.AddrPort{}, c.remote, err))
}

// opened makes c an open connection that is read.
func (c *conn) opened() {
	c.open = true
	c.loop.driver.stats.Open.Add(1)
	c.watch()
	c.later()
}
