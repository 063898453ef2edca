package secure

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// greet takes a client that has yet to say something. Until then it costs no goroutine.
func (l *Loop) greet(h engine.Handle, s *Server, tag int, from, to netip.AddrPort) {
	c := l.add(h, greeting)
	c.server, c.tag, c.from, c.to = s, tag, from, to
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = l.driver.cfg.Timeout
	}
	c.limit = l.Now().Add(timeout)
	l.stats.active.Add(1)
	c.setTimer()
}

// begin looks at the first bytes of a client.
func (c *conn) begin(b []byte) {
	l := c.loop
	switch {
	case isText(b[0]):
		c.fail(resultPlaintext, nil, c.server.NotTLS)
	case l.shaking >= l.driver.cfg.Pending:
		c.count(resultRefused)
		h := c.h
		c.drop()
		l.Loop.Reset(h)
	default:
		c.startHandshake()
		c.feed(b)
	}
}

// isText tells a request in clear from a TLS record, whose type is below 32 as no letter is.
func isText(b byte) bool { return b >= ' ' && b < 0x7F || b == '\r' || b == '\n' }

// dialled begins the handshake of a client.
func (c *conn) dialled() {
	c.startHandshake()
	c.setTimer()
}

// establish makes c a connection that the Handler knows.
func (c *conn) establish() {
	l, s := c.loop, c.shake
	if c.tls.ConnectionState().DidResume {
		c.count(resultResumed)
	} else {
		c.count(resultOK)
	}
	c.phase, c.shake, c.config = open, nil, nil
	c.held = s.in
	c.in = c.held
	c.restoreTimer()
	if c.paused && !c.stopped {
		c.stopped = true
		l.Loop.Pause(c.h)
	}
	if c.server != nil {
		l.inner.OnAccept(c.h, c.tag, c.from, c.to)
	} else {
		c.sendQueue()
		l.inner.OnDial(c.h)
		if c.phase == open && c.owed && c.waiting == 0 {
			c.owed = false
			l.inner.OnWritable(c.h)
		}
	}
	c.goOn()
}

// sendQueue sends what the Handler could not wait to send.
func (c *conn) sendQueue() {
	queue, shut := c.queue, c.shut
	c.queue, c.shut = nil, false
	if len(queue) > 0 {
		c.send(queue)
		c.owed = true
	}
	if shut {
		c.closeWrite()
	}
}

// fail ends a handshake that came to nothing. The client gets the answer, and time to read it or the alert
// that was sent before.
func (c *conn) fail(why result, err error, answer []byte) {
	l, h := c.loop, c.h
	c.count(why)
	c.log(why, err)
	c.giveUp()
	if c.server == nil {
		c.drop()
		l.Loop.Close(h)
		l.inner.OnClosed(h, fmt.Errorf("TLS handshake with %s: %w", c.addr, err))
		return
	}
	if c.fin || why == resultTimeout {
		c.part()
		return
	}
	c.phase, c.shake, c.left = parting, nil, partingBytes
	if c.stopped {
		c.stopped = false
		l.Loop.Resume(h)
	}
	l.Loop.Send(h, answer)
	l.Loop.CloseWrite(h)
	l.Loop.Arm(h, partingTime)
}

// A refused client is read from for a moment: closing over unread bytes would send a reset, which destroys
// what it was told.
const (
	partingTime  = time.Second
	partingBytes = 256 << 10
)

// part ends a client's connection that the Handler never knew.
func (c *conn) part() {
	h, below := c.h, c.loop.Loop
	c.drop()
	below.Close(h)
}

// arm sets the Handler's timer while the handshake may need the connection's only one.
func (c *conn) arm(d time.Duration) {
	c.due = time.Time{}
	if d > 0 {
		c.due = c.loop.Now().Add(d)
	}
	c.setTimer()
}

// setTimer sets the timer to what comes first. The driver itself ends a dial that takes too long.
func (c *conn) setTimer() {
	next := c.due
	if c.phase != dialling && (next.IsZero() || c.limit.Before(next)) {
		next = c.limit
	}
	c.setTimerTo(next)
}

// restoreTimer leaves the timer to the Handler alone.
func (c *conn) restoreTimer() { c.setTimerTo(c.due) }

func (c *conn) setTimerTo(t time.Time) {
	d := time.Duration(0)
	if !t.IsZero() {
		d = max(t.Sub(c.loop.Now()), 1)
	}
	c.loop.Loop.Arm(c.h, d)
}

func (c *conn) timer() {
	l, now := c.loop, c.loop.Now()
	switch {
	case c.phase == stalled:
		c.waits()
	case c.phase == open:
		l.inner.OnTimer(c.h)
	case c.phase == parting:
		c.part()
	case !c.due.IsZero() && !now.Before(c.due):
		c.due = time.Time{}
		c.setTimer()
		l.inner.OnTimer(c.h)
	case c.phase != dialling && !now.Before(c.limit):
		c.fail(resultTimeout, &net.OpError{Op: "TLS handshake", Net: "tcp", Addr: c.RemoteAddr(), Err: os.ErrDeadlineExceeded}, nil)
	default:
		c.setTimer()
	}
}
