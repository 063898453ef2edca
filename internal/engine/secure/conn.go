package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A conn is one connection with TLS.
//
//	greeting ─► shaking ─► open ─► gone       a client's
//	    └──────────┴─► parting ──► gone       refused: the alert or the answer must arrive
//	stalled ─► greeting, or no conn at all    kept waiting before
//	dialling ─► shaking ─► open ─► gone       our own
type conn struct {
	loop  *Loop
	h     engine.Handle
	phase phase
	tls   *tls.Conn

	server   *Server // nil: we dialled
	tag      int
	from, to netip.AddrPort
	addr     string      // dialled
	config   *tls.Config // of a dial

	shake *handshake // while shaking
	limit time.Time  // of the handshake
	due   time.Time  // of the Handler's timer, until open
	queue []byte     // what the Handler has sent before the connection was open

	// Ciphertext that came and was not taken by tls; outside of an event the same as held.
	in     []byte
	held   []byte
	record framing
	dry    bool // tls has nothing to hand over that it has not been asked for

	paused  bool // by the Handler
	stopped bool // the driver reads no more for now
	ready   bool // in loop.ready
	fin     bool // the peer sends no more
	eof     bool // and has said so: OnEOF was called
	shut    bool // CloseWrite was called
	owed    bool // the Handler waits for OnWritable
	waiting int  // as the driver said last
	left    int  // bytes that a parting peer may still send
	counted bool // how the handshake ended

	stalled func() bool
}

type phase uint8

const (
	stalled  phase = iota // nothing is read, and nobody knows of it
	greeting              // nothing has come yet
	dialling              // no connection yet
	shaking
	open
	parting
	lost // while shaking; the goroutine may still find an alert in what came before
	gone
)

// drop forgets c. No event reaches it any more.
func (c *conn) drop() {
	if c.phase >= lost {
		return
	}
	c.giveUp()
	if c.phase < open { // whoever did not say why gave it up
		c.count(resultGivenUp)
	}
	c.leave(gone)
}

func (c *conn) leave(p phase) {
	c.phase = p
	if s := &c.loop.conns[c.h.Index()]; s.c == c {
		*s = slot{}
	}
	c.in, c.held, c.queue = nil, nil, nil
}

// data takes ciphertext.
func (c *conn) data(b []byte) {
	switch c.phase {
	case greeting:
		c.begin(b)
	case shaking:
		c.feed(b)
	case open:
		if c.in = b; len(c.held) > 0 {
			c.held = append(c.held, b...)
			c.in = c.held
		}
		c.dry = false
		c.pump()
	case parting:
		if c.left -= len(b); c.left < 0 {
			c.part()
		}
	}
}

// finished follows the peer's FIN.
func (c *conn) finished() {
	c.fin = true
	switch c.phase {
	case greeting:
		c.fail(resultClosed, errEnded, nil)
	case shaking:
		c.feed(nil)
	case open:
		if !c.eof {
			c.dry = false
			c.pump()
		}
	case parting:
		c.part()
	}
}

// closed follows the end of the connection itself.
func (c *conn) closed(err error) {
	l, h, tell := c.loop, c.h, c.phase == open || c.server == nil
	switch {
	case c.phase == stalled:
		c.drop()
		return
	case c.phase >= open || errors.Is(err, context.Canceled):
		c.drop()
	case c.phase == shaking && c.server != nil:
		c.fin = true
		c.feed(nil)
		c.leave(lost)
	default:
		c.count(resultClosed)
		c.drop()
	}
	if tell {
		l.inner.OnClosed(h, err)
	}
}

func (c *conn) writable() {
	c.waiting = 0
	if c.owed && c.phase == open {
		c.owed = false
		c.loop.inner.OnWritable(c.h)
	}
}

// send encrypts b, which waits where there is no connection yet.
func (c *conn) send(b []byte) (waiting int) {
	switch {
	case c.shut:
		return 0
	case c.phase != open:
		c.queue = append(c.queue, b...)
		c.owed = len(c.queue) > 0
		return len(c.queue)
	}
	for {
		part := b[:min(len(b), sendChunk)]
		if _, err := c.tls.Write(part); err != nil {
			return 0 // the connection is broken, which reading tells
		}
		waiting = c.flush()
		if b = b[len(part):]; len(b) == 0 {
			break
		}
	}
	c.owed = c.owed || waiting > 0
	return waiting
}

// sendChunk is how much is encrypted before the driver gets it: more records in one write, within bounds.
const sendChunk = 64 << 10

// flush sends what tls has written.
func (c *conn) flush() (waiting int) {
	l := c.loop
	if len(l.out) > 0 {
		c.waiting = l.Loop.Send(c.h, l.out)
		l.out = l.out[:0]
	}
	return c.waiting
}

func (c *conn) closeWrite() {
	if c.shut {
		return
	}
	c.shut = true
	if c.phase == open {
		c.sayGoodbye()
		c.loop.Loop.CloseWrite(c.h)
	}
}

// sayGoodbye sends close_notify, unless an alert has gone before.
func (c *conn) sayGoodbye() {
	_ = c.tls.CloseWrite()
	c.flush()
}

func (c *conn) close() {
	if c.phase == open && !c.shut {
		c.sayGoodbye()
	}
	h, below := c.h, c.loop.Loop
	c.drop()
	below.Close(h)
}

func (c *conn) pause() {
	c.paused = true
	if c.phase == open && !c.stopped {
		c.stopped = true
		c.loop.Loop.Pause(c.h)
	}
}

func (c *conn) resume() {
	c.paused = false
	switch {
	case c.phase != open || !c.stopped:
	case c.dry || c.eof:
		c.stopped = false
		c.loop.Loop.Resume(c.h)
	case !c.ready:
		c.ready = true
		c.loop.ready = append(c.loop.ready, c)
	}
}

// goOn hands over what had to wait.
func (c *conn) goOn() {
	if c.phase != open || c.paused {
		return
	}
	c.pump()
	if c.phase == open && c.stopped && !c.paused {
		c.stopped = false
		c.loop.Loop.Resume(c.h)
	}
}
