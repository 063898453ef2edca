package replayer

import "github.com/redlane/redlane/internal/engine"

// advance sends what s may send now. It has a queue.
func (c *client) advance(s *session) {
	if c.late > 0 {
		if c.dropLate(s); s.queue.n == 0 {
			c.next(s)
			return
		}
	}
	if !c.enter(s) {
		return
	}
	switch s.state {
	case dialling:
		return
	case closed:
		c.dial(s)
		return
	}
	c.idle.remove(s)
	for it := s.queue.head; it != nil && s.takes(it, c.pipeline); it = s.queue.head {
		s.queue.pop()
		c.send(s, it)
	}
}

func (c *client) dial(s *session) {
	s.kept = false
	s.state = dialling
	c.book.connections++
	if s.had {
		c.book.reconnects++
	}
	s.had = true
	s.h = c.dialer.dial(s, c.connect)
	for int(s.h.Index()) >= len(c.conns) {
		c.conns = append(c.conns, nil)
	}
	c.conns[s.h.Index()] = s
	c.open++
}

// OnDial sends what has been waiting for the connection.
func (c *client) OnDial(h engine.Handle) {
	c.at = 0
	s := c.of(h)
	s.state, s.freeAt, s.kept = open, c.now(), s.queue.n == 0
	if s.queue.n > 0 {
		c.advance(s)
		return
	}
	c.rest(s)
}

// send gives it to the connection, the first time or again.
func (c *client) send(s *session, it *item) {
	now := c.now()
	if it.sent == unsent {
		if c.rewrite != nil {
			it.wire = c.rewrite.Request(it.session, it.carry, it.wire, c.book.start.Add(now))
		}
		it.sent = now
		if c.closedLoop {
			it.due = now
		}
		it.ready = min(max(it.due, s.freeAt), now)
		c.book.send(it)
	}
	if s.flight.n == 0 {
		s.since = now
	}
	s.flight.push(it)
	if !s.timed { // it is left to run out, and looked at then: setting it anew for each request costs more
		s.timed = true
		c.loop.Arm(s.h, c.timeout)
	}
	c.loop.Send(s.h, it.wire)
	c.at = 0 // that was a system call
}

// answered ends the first request on its way with a whole response.
func (c *client) answered(s *session) {
	it := s.flight.pop()
	now := c.now()
	s.freeAt, s.since, s.kept = now, now, true
	if c.rewrite != nil {
		c.rewrite.Response(it.session, it.carry)
	}
	c.book.answer(it, s.answer.status, now)
	c.off(it)
}

// lose ends an item without an answer.
func (c *client) lose(it *item, reason string) {
	if c.rewrite != nil {
		c.rewrite.Failed(it.session, it.carry)
	}
	c.book.fail(it, reason, c.now())
	c.off(it)
}

// off takes an item off the books. Its memory goes back when there is some to give back: counters that others
// look at are cheaper to change now and then.
func (c *client) off(it *item) {
	c.hands--
	c.spent.cost += it.cost
	it.clean()
	c.spent.items = append(c.spent.items, it)
	if c.hands == 0 || len(c.spent.items) >= stockBatch || c.spent.cost >= c.window.limit/64 {
		c.giveBack()
	}
}

func (c *client) giveBack() {
	n := len(c.spent.items)
	if n == 0 {
		return
	}
	c.window.give(c.spent.cost)
	c.stock.give(c.spent.items)
	clear(c.spent.items)
	c.spent.items, c.spent.cost = c.spent.items[:0], 0
	c.done(n)
	if c.closedLoop && c.hands < closedLow {
		c.more()
	}
}

// next goes on with a session after something of it has ended.
func (c *client) next(s *session) {
	switch {
	case !s.busy():
		c.rest(s)
	case s.queue.n == 0:
	case s.flight.n == 0 && s.active && c.turn.first != nil:
		c.leave(s)
		c.turn.add(s)
		c.admit()
	default:
		c.advance(s)
	}
}

// rest makes s idle, or forgets it when it has no connection.
func (c *client) rest(s *session) {
	switch {
	case s.extra:
		c.extras.put(s)
	case s.state == open && !s.idle:
		s.answer.reset()
		c.idle.add(s)
		if c.idle.n > c.maxIdle {
			oldest := c.idle.oldest
			c.book.idleClosed++
			c.loop.Close(oldest.h)
			c.lost(oldest)
			c.forget(oldest)
		}
	case s.state == closed:
		c.forget(s)
	}
	if s.active {
		c.leave(s)
		c.admit()
	}
}

// lost notes that s has no connection any more.
func (c *client) lost(s *session) {
	c.conns[s.h.Index()] = nil
	c.open--
	c.idle.remove(s)
	s.state, s.h, s.timed = closed, 0, false
	s.answer.reset()
}

// forget drops s when nothing holds it: a session without a connection is only a number.
func (c *client) forget(s *session) {
	if s.state == closed && !s.busy() && !s.extra {
		delete(c.sessions, s.id)
	}
}
