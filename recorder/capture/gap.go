package capture

import "github.com/redlane/redlane/recorder"

// behind reports whether c waits for bytes that it may never see.
func (c *conn) behind() bool {
	if c.closed || c.tunnel {
		return false
	}
	for dir := range c.half {
		h := &c.half[dir]
		if h.at < len(h.wait) || h.known && h.ackedKnown && less(h.next, h.acked) || h.reset && !h.over {
			return true
		}
	}
	return false
}

// stall has Tick look after c, and looks itself.
func (c *conn) stall() {
	if !c.stalled {
		c.stalled = true
		c.a.stalled = append(c.a.stalled, c)
	}
	c.overdue()
}

// overdue gives up holes that have been there for too long, although their receiver has the bytes, and those
// behind which too much waits. A hole nobody has acknowledged is still to be filled.
func (c *conn) overdue() {
	patience := int64(c.a.cfg.Patience)
	for again := true; again && !c.closed && !c.tunnel; {
		again = false
		for dir := range c.half {
			h := &c.half[dir]
			n, sure := h.hole()
			if n == 0 {
				h.since = 0
				continue
			}
			if h.since == 0 || h.sinceAt != h.next {
				h.since, h.sinceAt = c.a.now, h.next
			}
			late := c.a.now-h.since >= patience
			if late && (sure || h.reset || c.half[1-dir].reset) || c.waiting > c.a.cfg.Ahead {
				c.hole(dir, n, recorder.LostGap)
				c.pump()
				again = true
			}
		}
	}
	if c.resetAt != 0 && !c.closed && c.a.now-c.resetAt >= patience {
		c.clientGone()
	}
}

// hole gives up the next n bytes of a direction.
func (c *conn) hole(dir, n int, why recorder.Reason) {
	h := &c.half[dir]
	h.since = 0
	if why == recorder.LostGap {
		// A hole of one number at a boundary, and nothing behind it, is a FIN that was not seen.
		if n == 1 && h.at == len(h.wait) && c.atBoundary(dir) {
			h.ended, h.end = true, h.next
			return
		}
		c.a.n.Gaps++
		c.a.n.GapBytes += uint64(n)
	}
	if c.secure != nil {
		c.unsecure(why)
		return
	}
	if c.skip(dir, n, why) {
		return
	}
	if dir == server {
		c.loseServer(h.next+uint32(n), why)
		return
	}
	c.why, c.owed = why, false
	h.known = false
	c.hold = false
	if x := c.cur; x != nil {
		c.cur = nil
		x.lose(why)
		x.read()
	} else {
		c.a.miss(why)
	}
	if c.first == nil {
		c.half[server].known = false // until the next safe point
	}
}

func (c *conn) atBoundary(dir int) bool {
	if dir == client {
		return c.cur == nil
	}
	return c.first == nil
}

// skip passes over n bytes where it is certain what they were: inside a body whose end does not depend on
// them. The exchange is lost, the connection is not.
func (c *conn) skip(dir, n int, why recorder.Reason) bool {
	h := &c.half[dir]
	if dir == client {
		x := c.cur
		if x == nil || !x.parsed {
			return false
		}
		done, ok := x.asking.Skip(int64(n))
		if ok {
			h.next += uint32(n)
			x.lose(why)
			if done {
				c.requested(x)
			}
		}
		return ok
	}
	x := c.first
	if x == nil || !x.answered {
		return false
	}
	done, ok := x.answering.Skip(int64(n))
	if ok {
		h.next += uint32(n)
		x.lose(why)
		if done {
			c.complete(x)
		}
	}
	return ok
}

// loseServer gives up the server's stream up to end, and with it the exchange it was about. It goes on where
// a request that follows says that the client had all responses before it.
func (c *conn) loseServer(end uint32, why recorder.Reason) {
	c.half[server].known = false
	c.why, c.owed = why, false
	if c.first == nil {
		return
	}
	c.dequeue().lose(why)
	for x := c.first; x != nil; x = c.first {
		if x.fresh && !c.pipelined && !less(x.ackAt, end) {
			c.align(x.ackAt)
			return
		}
		c.dequeue().lose(why)
	}
}

// loseAll gives up whatever c is about.
func (c *conn) loseAll(why recorder.Reason) {
	if c.secure != nil {
		c.endSecure(why)
	}
	for c.first != nil {
		c.dequeue().lose(why)
	}
	if x := c.cur; x != nil {
		c.cur = nil
		x.lose(why)
		x.read()
	}
	for dir := range c.half {
		for h := &c.half[dir]; h.at < len(h.wait); {
			s := c.unkeep(dir)
			c.a.discard(why, len(s.b))
			c.a.segments.give(s.b)
		}
	}
}

// unsync gives up both streams until the next safe point.
func (c *conn) unsync(why recorder.Reason) {
	c.why, c.owed, c.hold = why, false, false
	c.half[client].known, c.half[server].known = false, false
	c.loseAll(why)
}

// giveUp frees the memory of c.
func (c *conn) giveUp() {
	c.a.n.Evicted++
	c.unsync(recorder.LostMemory)
}

// finish ends c for good: nothing that is still missing will come.
func (c *conn) finish(why recorder.Reason) {
	if !c.closed && !c.tunnel && c.oriented {
		for range 2 * (len(c.half[client].wait) + len(c.half[server].wait) + 2) {
			n := 0
			for dir := range c.half {
				if n, _ = c.half[dir].hole(); n > 0 {
					c.hole(dir, n, recorder.LostGap)
					c.pump()
					break
				}
			}
			if n == 0 || c.closed {
				break
			}
		}
		if c.resetAt != 0 && !c.closed {
			c.clientGone()
		}
	}
	c.loseAll(why)
	c.resetAt = 0
}

// shut is the end of the connection itself. It is remembered for a while, because copies of its packets may
// still come.
func (c *conn) shut() {
	c.closed, c.hold, c.resetAt = true, false, 0
	if c.secure != nil {
		c.endSecure(c.why)
	}
	for dir := range c.half {
		for h := &c.half[dir]; h.at < len(h.wait); {
			s := c.unkeep(dir)
			c.a.n.bytes.late += uint64(len(s.b))
			c.a.segments.give(s.b)
		}
	}
	if !c.inner {
		c.a.list(c, c.a.now)
	}
}
