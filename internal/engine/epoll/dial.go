package epoll

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// Dial starts to connect. timeout <= 0 leaves it to the kernel to give up. When Run is ending it returns 0
// and nothing follows.
func (l *loop) Dial(addr string, timeout time.Duration) engine.Handle {
	l.serial.Inside("Dial called outside of an event")
	if l.stopped {
		return 0
	}
	c := l.newConn(-1)
	a, err := socket.Parse(addr)
	if err != nil {
		c.broken = fmt.Errorf("dial: %w", err)
		l.later(c)
		return c.handle
	}
	c.there, c.local = a, a.IsUnix()
	open, err := l.connect(c)
	switch {
	case err != nil:
		c.broken = socket.OpError("dial", c.here, a, err)
		l.later(c)
	case open: // but Dial may not say so itself
		l.later(c)
	case timeout > 0:
		l.wheel.Arm(&c.limit, l.clock()+min(int64(timeout), forever))
	}
	return c.handle
}

func (l *loop) connect(c *conn) (open bool, err error) {
	if c.fd, err = socket.New(c.there); err != nil {
		return false, err
	}
	if open, err = socket.Connect(c.fd, c.there); err != nil {
		return false, err
	}
	if err = l.watchConn(c); err != nil {
		return false, os.NewSyscallError("epoll_ctl", err)
	}
	return open, nil
}

// dialled brings the outcome of a dial that was known when Dial returned.
func (l *loop) dialled(c *conn) {
	if c.broken != nil {
		l.notDialled(c, c.broken)
		return
	}
	h := c.handle
	if l.opened(c); c.handle == h {
		l.told(c, unix.EPOLLIN) // what came since may have been said already
	}
}

// connected brings the outcome of a dial that took its time.
func (l *loop) connected(c *conn, events uint32) {
	if c.queued {
		return // the outcome is known, and comes from the ready list
	}
	if err := socket.Connected(c.fd, c.there); err != nil {
		l.notDialled(c, socket.OpError("dial", c.here, c.there, err))
		return
	}
	h := c.handle
	if l.opened(c); c.handle == h && events&^unix.EPOLLOUT != 0 {
		l.told(c, events&^unix.EPOLLOUT)
	}
}

func (l *loop) notDialled(c *conn, err error) {
	l.driver.stats.DialErrors.Add(1)
	l.fail(c, err)
}

// opened tells the Handler, and sends what waited for the connection.
func (l *loop) opened(c *conn) {
	l.wheel.Remove(&c.limit)
	c.open = true
	l.driver.stats.Dialled.Add(1)
	l.driver.stats.Open.Add(1)
	h, fin := c.handle, c.shut && c.queue.Len() == 0
	l.handler.OnDial(h)
	switch {
	case c.handle != h:
	case c.queue.Len() > 0:
		if l.flush(c); c.handle == h {
			l.askForRoom(c)
		}
	case fin:
		socket.CloseWrite(c.fd)
	}
}
