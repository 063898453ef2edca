package replayer

import (
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// A client is the session machine of one loop: an engine.Handler that sends what its pacer says is due.
//
//	pacer ─► release ─► session: queue ─► advance ─► dial ─► send: flight ─► OnData ─► answered ─► book
//	                               ▲                                            │
//	                               └───────────────── next ─────────────────────┘
type client struct {
	loop     engine.Loop
	dialer   dialer
	since    func() time.Duration // from the start of the run; set before the first item comes
	timeout  time.Duration
	connect  time.Duration
	maxIdle  int
	pipeline int // requests on their way at once, of a session whose recording pipelined them
	window   *window
	stock    *stock
	done     func(n int)     // so many items are off the books
	rewrite  *rewrite.Memory // what sessions learned; nil when nothing is rewritten

	closedLoop bool          // a request is due when its turn has come
	most       int           // sessions that are active at once; 0: any number
	late       time.Duration // what would be sent later than this is dropped; 0: nothing
	drops      bool          // what finds most sessions active is dropped

	pacer    pacer
	paced    bool            // nothing more is released
	starving bool            // of a closed loop: it is told when there is more
	gatherer engine.Gatherer // of a closed loop, where there is one
	began    func(n int)     // so many items are released
	through  func()          // nothing more will be

	book      *book
	live      *live         // of book, and of those before it
	at        time.Duration // when this event is; 0 until somebody asks
	sessions  map[uint64]*session
	conns     []*session // by engine.Handle.Index
	open      int        // connections, and those being opened
	idle      idleList
	turn      turnLine        // sessions that want to be active
	active    int             // sessions that are
	admitting bool            // admit is at work
	extras    extras          // of Overload.Spawn
	response  traffic.Message // of the head being looked at
	stopped   bool            // nothing more is sent
	reason    string          // why, once stopped: for the ledger

	hands int      // items released and not off the books
	spent struct { // off the books, not given back yet
		items []*item
		cost  int64
	}
}

var _ engine.Handler = (*client)(nil)

// now is the time of this event, or of the last request sent in it: a clock is read once for an answer and
// the request that follows it.
func (c *client) now() time.Duration {
	if c.at == 0 {
		c.at = c.since()
	}
	return c.at
}

func (c *client) session(id uint64) *session {
	s := c.sessions[id]
	if s == nil {
		s = &session{id: id}
		c.sessions[id] = s
	}
	return s
}

// of is the session whose connection h is.
func (c *client) of(h engine.Handle) *session { return c.conns[h.Index()] }

// release takes over an item that is due.
func (c *client) release(it *item) {
	if c.stopped {
		c.lose(it, c.reason)
		return
	}
	s := c.session(it.session)
	if it.start < s.recordedEnd {
		c.book.pipelined++
		it.piped = c.pipeline > 1
	}
	s.recordedEnd = max(s.recordedEnd, it.end)
	s.had = s.had || !it.opens
	if c.drops && !s.active && c.active >= c.most {
		c.lose(it, dropOverload)
		c.forget(s)
		return
	}
	waits := s.busy()
	if waits && !it.piped {
		if extra := c.extra(); extra != nil {
			s, waits = extra, false
			c.book.spawned++
		}
	}
	s.queue.push(it)
	c.advance(s)
	if waits && s.queue.tail == it {
		c.book.waited++
	}
}

// each calls f for every session. f may forget it.
func (c *client) each(f func(*session)) {
	for _, s := range c.sessions {
		f(s)
	}
	for _, s := range c.extras.all {
		f(s)
	}
}

// stop ends sending: what waits goes to the books under reason, what is on its way is waited for.
func (c *client) stop(reason string) {
	c.stopped, c.reason = true, reason
	c.turn, c.most = turnLine{}, 0
	c.each(func(s *session) {
		var again line // sent before, on a connection that broke
		for it := s.queue.pop(); it != nil; it = s.queue.pop() {
			if it.sent != unsent {
				again.push(it)
			} else {
				c.lose(it, reason)
			}
		}
		s.queue, s.lined, s.behind = again, false, nil
		switch {
		case s.state == closed && s.queue.n > 0:
			c.advance(s)
		case s.state == dialling && !s.busy():
			c.loop.Close(s.h)
			c.lost(s)
		}
		c.forget(s)
	})
	c.giveBack()
}

// abort ends everything that is still on its way. stop comes first.
func (c *client) abort() {
	c.each(func(s *session) {
		if s.busy() {
			if s.state != closed {
				c.loop.Reset(s.h)
				c.lost(s)
			}
			c.abandon(s, dropUnanswered)
		}
		c.forget(s)
	})
	c.giveBack()
}

// settle enters what is left after the driver has ended, whyever it did. There are no events any more.
func (c *client) settle(reason string) {
	c.stopped, c.reason = true, reason
	c.each(func(s *session) { c.abandon(s, reason) })
	c.giveBack()
}

// abandon ends all that s has: what was sent as unanswered, the rest under reason.
func (c *client) abandon(s *session, reason string) {
	for it := s.flight.pop(); it != nil; it = s.flight.pop() {
		c.lose(it, dropUnanswered)
	}
	for it := s.queue.pop(); it != nil; it = s.queue.pop() {
		if it.sent != unsent {
			c.lose(it, dropUnanswered)
		} else {
			c.lose(it, reason)
		}
	}
}

// OnAccept is never called: a replayer listens nowhere.
func (c *client) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {
	panic("BUG: a replayer has no listener")
}

// OnWritable needs nothing: no more than a few requests are queued.
func (c *client) OnWritable(engine.Handle) {}
