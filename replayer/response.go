package replayer

import (
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
)

// limits of what a target may answer. Bodies are not kept and have none.
var limits = http1.Limits{Head: 256 << 10, Headers: 1000}

// OnData takes the next bytes of an answer.
//
//	1xx head ─► skipped        final head ─► body, not kept ─► end ─► answered ─► the next, when pipelined
func (c *client) OnData(h engine.Handle, b []byte) {
	c.at = 0
	s := c.of(h)
	a := &s.answer
	if len(a.buf) > 0 {
		a.buf = append(a.buf, b...)
		b = a.buf
	}
	for {
		if s.flight.n == 0 { // a time-out notice, or worse: whatever comes next would be taken for an answer
			c.book.unsolicited++
			c.hangUp(s)
			return
		}
		n, done, ok := c.parse(s, b)
		s.flight.head.received += int64(n)
		switch {
		case !ok:
			c.breakOff(s, dropProtocol)
			return
		case !done:
			a.keep(b[n:])
			return
		}
		ends := a.framing.Close || s.flight.head.closes
		c.answered(s)
		a.reset()
		if ends {
			if n < len(b) && s.flight.n == 0 {
				c.book.unsolicited++
			}
			c.hangUp(s)
			return
		}
		if b = b[n:]; len(b) == 0 {
			c.next(s)
			return
		}
	}
}

// parse takes from b what belongs to the answer to the first request on its way: all n bytes of it when it is
// not done. ok is false when there will never be an answer.
func (c *client) parse(s *session, b []byte) (n int, done, ok bool) {
	a := &s.answer
	a.begun = true
	for a.status == 0 {
		head, ok := c.head(s, b[n:])
		if !ok || head == 0 {
			return n, false, ok
		}
		n += head
	}
	for {
		data, used, done, err := a.body.Next(b[n:])
		n += used
		if c.rewrite != nil {
			c.rewrite.Body(s.flight.head.carry, data)
		}
		switch {
		case err != nil:
			return n, false, false
		case done || used == 0 || n == len(b):
			return n, done, true
		}
	}
}

// hangUp closes the connection, and goes on with what was not answered on it.
func (c *client) hangUp(s *session) {
	c.loop.Close(s.h)
	c.lost(s)
	c.again(s)
	c.next(s)
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
	n, err := http1.ParseResponse(b, s.flight.head.method, &c.response, &a.framing, &limits)
	switch status := c.response.Status; {
	case err != nil || n == 0 || status == 101: // nobody asked to leave HTTP
		return 0, false
	case status >= 200:
		a.status = status
		a.body.Init(a.framing, &limits)
		if c.rewrite != nil {
			c.rewrite.Head(s.flight.head.carry, status, c.response.Headers)
		}
	}
	return n, true
}

// breakOff resets the connection under the first request on its way.
func (c *client) breakOff(s *session, reason string) {
	c.loop.Reset(s.h)
	c.lost(s)
	c.lose(s.flight.pop(), reason)
	s.freeAt = c.now()
	c.again(s)
	c.next(s)
}

// OnEOF ends an answer that has no other end, and every other one too early.
func (c *client) OnEOF(h engine.Handle) {
	c.at = 0
	s := c.of(h)
	if a := &s.answer; s.flight.n > 0 && a.status != 0 {
		if done, err := a.body.AtEOF(); done && err == nil {
			c.answered(s)
			c.hangUp(s)
			return
		}
	}
	c.loop.Close(h)
	c.ended(s)
}

// OnClosed follows a failed dial, a reset, or the end of the run.
func (c *client) OnClosed(h engine.Handle, _ error) {
	c.at = 0
	c.ended(c.of(h))
}

// ended goes on after the connection has: the target may close a kept connection at any time, also just
// when we send.
func (c *client) ended(s *session) {
	refused, dead := s.state == dialling, s.kept && !s.answer.begun
	c.lost(s)
	switch {
	case refused && s.queue.n > 0:
		c.lose(s.queue.pop(), dropConnect)
		s.freeAt = c.now()
	case s.flight.n > 0 && !(dead && c.repeats(s.flight.head)):
		c.lose(s.flight.pop(), dropReset)
		s.freeAt = c.now()
	}
	c.again(s)
	c.next(s)
}

// repeats reports whether a request that cannot have been answered may be sent once more.
func (c *client) repeats(it *item) bool { return it.repeatable && !it.retried && !c.stopped }

// again puts what was sent on a connection that is gone back into the queue, or ends it: sent twice is worse
// than not answered.
func (c *client) again(s *session) {
	var again line
	for it := s.flight.pop(); it != nil; it = s.flight.pop() {
		if !c.repeats(it) {
			c.lose(it, dropReset)
			continue
		}
		it.retried = true
		c.book.retried++
		again.push(it)
	}
	if again.n == 0 {
		return
	}
	for it := s.queue.pop(); it != nil; it = s.queue.pop() {
		again.push(it)
	}
	s.queue = again
}

// OnTimer gives up waiting, when it has been for long enough.
func (c *client) OnTimer(h engine.Handle) {
	c.at = 0
	s := c.of(h)
	s.timed = false
	if s.flight.n == 0 {
		return
	}
	if left := s.since + c.timeout - c.now(); left > 0 {
		s.timed = true
		c.loop.Arm(h, left)
		return
	}
	c.breakOff(s, dropTimeout)
}
