package epoll

import (
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// Close ends h after everything queued has been sent, or has not moved for Config.Linger.
func (l *loop) Close(h engine.Handle) {
	c := l.get(h)
	if c == nil {
		return
	}
	if c.joint != nil {
		l.leave(c)
	}
	if c.open {
		l.driver.stats.Open.Add(-1)
		if c.queue.Len() > 0 {
			l.wheel.Remove(&c.timer)
			c.gone, c.paused, c.orphan = true, false, false
			l.allowLinger(c)
			if c.news {
				l.later(c)
			}
			l.flush(c) // what was on its way in a pair has not been refused by the kernel yet
			return
		}
	}
	l.release(c)
}

// Reset ends h at once with RST. A unix socket has no RST: its peer sees the end of the stream.
func (l *loop) Reset(h engine.Handle) {
	c := l.get(h)
	if c == nil {
		return
	}
	if c.joint != nil {
		l.leave(c)
	}
	if c.open {
		l.driver.stats.Open.Add(-1)
	}
	l.abandon(c)
}

// abandon ends c with RST, so that a peer that missed something knows.
func (l *loop) abandon(c *conn) {
	if c.fd >= 0 {
		socket.Reset(c.fd)
		c.fd = -1
	}
	l.release(c)
}

func (l *loop) allowLinger(c *conn) {
	l.wheel.Arm(&c.limit, l.clock()+int64(l.driver.cfg.Linger))
}

// Pause stops OnData and OnEOF.
func (l *loop) Pause(h engine.Handle) {
	if c := l.get(h); c != nil && c.joint == nil {
		c.paused = true
	}
}

// Resume lets OnData and OnEOF come again. What the socket had to say meanwhile was remembered: it says
// nothing twice.
func (l *loop) Resume(h engine.Handle) {
	if c := l.get(h); c != nil && c.paused {
		c.paused = false
		if c.news {
			l.later(c)
		}
	}
}
