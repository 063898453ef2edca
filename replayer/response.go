package replayer

import (
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
)

// limits of what a target may answer. Bodies are not kept and have none.
var limits = http1.Limits{Head: 256 << 10, Headers: 1000}

// OnData takes the next bytes of an answer.
//
//	1xx head ─► skipped        final head ─► body, not kept ─► end ─► answered
func (c *client) OnData(h engine.Handle, b []byte) {
	s := c.conns[h]
	if s.now == nil { // a time-out notice, or worse: whatever comes next would be taken for an answer
		c.book.unsolicited++
		c.loop.Close(h)
		c.lost(s)
		c.forget(s)
		return
	}
	a := &s.answer
	a.begun = true
	if len(a.buf) > 0 {
		a.buf = append(a.buf, b...)
		b = a.buf
	}
	for a.status == 0 {
		n, ok := c.head(s, b)
		if !ok {
			c.breakOff(s, dropProtocol)
			return
		}
		if n == 0 {
			a.keep(b)
			return
		}
		b = b[n:]
	}
	for {
		_, n, done, err := a.body.Next(b)
		b = b[n:]
		switch {
		case err != nil:
			c.breakOff(s, dropProtocol)
			return
		case done:
			c.whole(s, len(b) > 0)
			return
		case n == 0 || len(b) == 0:
			a.keep(b)
			return
		}
	}
}

// head looks for a complete head at the start of b and returns its size, 0 while there is none. ok is
// false when there will never be one. An interim answer is taken and forgotten.
func (c *client) head(s *session, b []byte) (n int, ok bool) {
	a := &s.answer
	end, next := http1.HeadEnd(b, a.scanned)
	if end == 0 && len(b) <= limits.Head {
		a.scanned = next
		return 0, true
	}
	a.scanned = 0
	c.response.Reset()
	n, err := http1.ParseResponse(b, s.now.method, &c.response, &a.framing, &limits)
	switch status := c.response.Status; {
	case err != nil || n == 0 || status == 101: // nobody asked to leave HTTP
		return 0, false
	case status >= 200:
		a.status = status
		a.body.Init(a.framing, &limits)
	}
	return n, true
}

// whole ends the request on its way. more says that bytes came that belong to no request.
func (c *client) whole(s *session, more bool) {
	if more {
		c.book.unsolicited++
	}
	ends := more || s.answer.framing.Close || s.now.closes
	c.answered(s, c.now())
	if ends {
		c.loop.Close(s.h)
		c.lost(s)
	}
	c.next(s)
}

// breakOff resets the connection under the request on its way.
func (c *client) breakOff(s *session, reason string) {
	c.loop.Reset(s.h)
	c.lost(s)
	c.failed(s, reason)
	c.next(s)
}

// OnEOF ends an answer that has no other end, and every other one too early.
func (c *client) OnEOF(h engine.Handle) {
	s := c.conns[h]
	if a := &s.answer; s.now != nil && a.status != 0 {
		if done, err := a.body.AtEOF(); done && err == nil {
			a.framing.Close = true
			c.whole(s, false)
			return
		}
	}
	c.loop.Close(h)
	c.ended(s)
}

// OnClosed follows a failed dial, a reset, or the end of the run.
func (c *client) OnClosed(h engine.Handle, _ error) { c.ended(c.conns[h]) }

// ended goes on after the connection has: the target may close a kept connection at any time, also just
// when we send. A request that cannot have been answered is sent once more where that is harmless.
func (c *client) ended(s *session) {
	reason := dropReset
	if s.state == dialling {
		reason = dropConnect
	}
	c.lost(s)
	it := s.now
	switch {
	case it == nil:
		c.forget(s)
	case s.kept && !s.answer.begun && it.repeatable && !it.retried && !c.stopped:
		it.retried = true
		c.book.retried++
		c.dial(s)
	default:
		c.failed(s, reason)
		c.next(s)
	}
}

// OnTimer gives up waiting.
func (c *client) OnTimer(h engine.Handle) {
	if s := c.conns[h]; s.now != nil {
		c.breakOff(s, dropTimeout)
	}
}
