package replayer

import (
	"net/netip"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

// A client is the session machine of one loop: an engine.Handler that sends what the pacer releases.
//
//	pacer ─► inbox ─► drain ─► session: queue ─► begin ─► dial ─► send ─► OnData ─► finish ─► book
//	                                     ▲                                            │
//	                                     └──────────── next of the session ───────────┘
type client struct {
	loop    engine.Loop
	clock   clock.Clock
	start   time.Time // of the run; set before the first item comes
	addr    string
	timeout time.Duration
	connect time.Duration
	maxIdle int
	window  *window
	done    func() // an item is off the books

	book     *book
	sessions map[uint64]*session
	conns    map[engine.Handle]*session
	idle     idleList
	response traffic.Message // of the head being looked at
	stopped  bool            // nothing more is sent
	reason   string          // why, once stopped: for the ledger

	inbox struct {
		sync.Mutex
		items  []*item
		opens  []uint64
		posted bool // an event that will drain it is on its way
	}
	taken struct { // the other half of inbox, in use by drain
		items []*item
		opens []uint64
	}
}

var _ engine.Handler = (*client)(nil)

// put leaves items for the loop and reports whether it must be told. For the pacer.
func (c *client) put(items []*item, opens []uint64) (tell bool) {
	c.inbox.Lock()
	defer c.inbox.Unlock()
	c.inbox.items = append(c.inbox.items, items...)
	c.inbox.opens = append(c.inbox.opens, opens...)
	tell = !c.inbox.posted
	c.inbox.posted = true
	return tell
}

// drainEvent is what is posted to a loop whose inbox has something.
func drainEvent(_ engine.Loop, h engine.Handler) { h.(*client).drain() }

func (c *client) drain() {
	c.inbox.Lock()
	items, opens := c.inbox.items, c.inbox.opens
	c.inbox.items, c.inbox.opens = c.taken.items[:0], c.taken.opens[:0]
	c.inbox.posted = false
	c.inbox.Unlock()

	for _, it := range items {
		c.release(it)
	}
	for _, id := range opens {
		if c.stopped || len(c.conns) >= c.maxIdle {
			break // it will connect when it must
		}
		if s := c.session(id); s.state == closed {
			c.dial(s)
		}
	}
	clear(items)
	c.taken.items, c.taken.opens = items, opens
}

func (c *client) now() time.Duration { return c.clock.Now().Sub(c.start) }

func (c *client) session(id uint64) *session {
	s := c.sessions[id]
	if s == nil {
		s = &session{id: id}
		c.sessions[id] = s
	}
	return s
}

// release takes over an item that is due.
func (c *client) release(it *item) {
	if c.stopped {
		c.lose(it, c.reason)
		return
	}
	s := c.session(it.session)
	if it.start < s.recordedEnd {
		c.book.pipelined++
	}
	s.recordedEnd = max(s.recordedEnd, it.end)
	s.had = s.had || !it.opens
	if s.now != nil {
		c.book.waited++
		s.push(it)
		return
	}
	c.begin(s, it)
}

// begin makes it the request on its way. Its session has none.
func (c *client) begin(s *session, it *item) {
	c.idle.remove(s)
	s.now = it
	s.answer.reset()
	switch s.state {
	case open:
		s.kept = true
		c.send(s)
	case dialling:
	default:
		c.dial(s)
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
	s.h = c.loop.Dial(c.addr, c.connect)
	c.conns[s.h] = s
}

// send gives the request on its way to the connection, the first time or again.
func (c *client) send(s *session) {
	it := s.now
	if it.sent == unsent {
		it.sent = c.now()
		it.ready = min(max(it.due, s.freeAt), it.sent)
		c.book.send(it)
	}
	c.loop.Arm(s.h, c.timeout)
	c.loop.Send(s.h, it.wire)
}

// answered ends the request on its way with a whole response.
func (c *client) answered(s *session, now time.Duration) {
	it := s.now
	c.book.answer(it, s.answer.status, now)
	c.off(it)
	s.now, s.freeAt = nil, now
}

// failed ends the request on its way without one.
func (c *client) failed(s *session, reason string) {
	now := c.now()
	c.book.fail(s.now, reason, now)
	c.off(s.now)
	s.now, s.freeAt = nil, now
}

// lose ends an item that is not on its way.
func (c *client) lose(it *item, reason string) {
	c.book.fail(it, reason, c.now())
	c.off(it)
}

// off takes it off the books, and gives its memory back.
func (c *client) off(it *item) {
	c.window.give(it.cost)
	putItem(it)
	c.done()
}

// next goes on with the session after the request on its way has ended.
func (c *client) next(s *session) {
	if it := s.pop(); it != nil {
		c.begin(s, it)
		return
	}
	c.rest(s)
}

// rest makes s idle, or forgets it when it has no connection.
func (c *client) rest(s *session) {
	if s.state != open {
		c.forget(s)
		return
	}
	s.answer.reset()
	c.loop.Arm(s.h, 0)
	c.idle.add(s)
	if c.idle.n > c.maxIdle {
		oldest := c.idle.oldest
		c.book.idleClosed++
		c.loop.Close(oldest.h)
		c.lost(oldest)
		c.forget(oldest)
	}
}

// lost notes that s has no connection any more.
func (c *client) lost(s *session) {
	delete(c.conns, s.h)
	c.idle.remove(s)
	s.state, s.h = closed, 0
}

// forget drops s when nothing holds it: a session without a connection is only a number.
func (c *client) forget(s *session) {
	if s.state == closed && s.now == nil && s.head == nil {
		delete(c.sessions, s.id)
	}
}

// stop ends sending: what waits goes to the books under reason, what is on its way is waited for.
func (c *client) stop(reason string) {
	c.stopped, c.reason = true, reason
	c.drain()
	for _, s := range c.sessions {
		for it := s.pop(); it != nil; it = s.pop() {
			c.lose(it, reason)
		}
		if s.now != nil && s.now.sent == unsent {
			c.lose(s.now, reason)
			s.now = nil
			if s.state != closed {
				c.loop.Close(s.h)
				c.lost(s)
			}
			c.forget(s)
		}
	}
}

// abort ends everything that is still on its way. stop comes first.
func (c *client) abort() {
	for _, s := range c.sessions {
		if s.now != nil {
			c.loop.Reset(s.h)
			c.lost(s)
			c.failed(s, dropUnanswered)
		}
		c.forget(s)
	}
}

// settle enters what is left after the driver has ended, whyever it did. There are no events any more.
func (c *client) settle(reason string) {
	c.stopped, c.reason = true, reason
	c.drain()
	for _, s := range c.sessions {
		if s.now != nil {
			c.failed(s, dropUnanswered)
		}
		for it := s.pop(); it != nil; it = s.pop() {
			c.lose(it, reason)
		}
	}
}

// OnAccept is never called: a replayer listens nowhere.
func (c *client) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {
	panic("BUG: a replayer has no listener")
}

// OnDial sends what has been waiting for the connection.
func (c *client) OnDial(h engine.Handle) {
	s := c.conns[h]
	s.state, s.freeAt = open, c.now()
	if s.now != nil {
		c.send(s)
		return
	}
	c.rest(s)
}

// OnWritable needs nothing: one request at a time is queued.
func (c *client) OnWritable(engine.Handle) {}
