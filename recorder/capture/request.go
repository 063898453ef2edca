package capture

import (
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// wholeMax bounds the copy of what may turn out to lie behind a head.
const wholeMax = 1 << 10

// requests reads the client's bytes. It stops early where the stream is given up, or has to wait for an
// answer to know what it is.
func (c *conn) requests(b []byte) (n int) {
	h := &c.half[client]
	for n < len(b) && h.known && !c.hold {
		x := c.cur
		if x == nil {
			if b[n] == recordHandshake && c.isSecure() {
				return c.decrypt(client, b)
			}
			if c.a.memory > c.a.cfg.Memory {
				c.giveUp()
				return n
			}
			x = c.newExchange()
		}
		var k int
		if x.parsed {
			k = c.requestBody(x, b[n:])
		} else {
			k = c.requestHead(x, b[n:])
		}
		n += k
		h.next += uint32(k)
		c.seg.fresh = false
	}
	return n
}

// requestHead reads the head of x, or a part of it.
func (c *conn) requestHead(x *exchange, b []byte) (n int) {
	var err error
	limits := &c.a.cfg.Limits
	if len(x.head) == 0 { // nearly all come in one piece and are not large
		x.head = append(x.head, b[:min(len(b), wholeMax)]...)
		n, err = http1.ParseRequest(x.head, &x.Request, &x.asked, limits)
		x.head = x.head[:n]
	}
	if n == 0 && err == nil {
		var whole bool
		had := cap(x.head)
		x.head, n, x.scanned, whole = http1.CollectHead(x.head, b, x.scanned, limits)
		x.charge(cap(x.head) - had)
		if !whole {
			return n
		}
		if _, err = http1.ParseRequest(x.head, &x.Request, &x.asked, limits); err == nil {
			x.scanned = 0
		}
	}
	if err != nil {
		c.failClient(x)
		return 0
	}
	c.admit(x, n)
	return n
}

// failClient follows bytes that are no request.
func (c *conn) failClient(x *exchange) {
	c.why, c.owed = recorder.LostProtocol, false
	c.half[client].known = false
	c.cur, x.reading = nil, false
	x.lose(recorder.LostProtocol)
	if c.first == nil {
		c.half[server].known = false
	}
}

// admit begins x, whose head is whole.
func (c *conn) admit(x *exchange, n int) {
	x.parsed = true
	x.headEnd = c.half[client].next + uint32(n)
	s := &c.half[server]
	switch {
	case s.known && c.first != nil && !(c.seg.acks && less(s.next, c.seg.ack)):
		c.pipelined = true
		if c.joined { // then it may have been before, too, and this is another's response
			c.unsync(recorder.LostUnfinished)
			return
		}
	case !s.known && c.half[client].known:
		if c.first == nil && x.fresh && !c.pipelined {
			c.align(x.ackAt)
		}
	}
	x.asking.Init(x.asked, nil)
	if s.known {
		c.seq++
		x.identify()
		x.begun = true
		c.a.n.begun++
		c.a.tap.Request(&x.Exchange)
		c.enqueue(x)
	} else {
		x.lose(c.why)
	}
	if x.asked.Kind == http1.NoBody || x.asked.Kind == http1.Length && x.asked.Length == 0 {
		c.requested(x)
	}
}

// requested follows the last byte of x's request. What follows an offer to change the protocol can only be
// read once that has been answered.
func (c *conn) requested(x *exchange) {
	c.hold = (x.asked.Upgrade || string(x.Request.Method) == "CONNECT") && x.queued && !x.answered
	c.cur = nil
	x.read()
}

func (c *conn) requestBody(x *exchange, b []byte) int {
	data, n, done, err := x.asking.Next(b)
	if len(data) > 0 && !x.over {
		x.Request.BodySize += int64(len(data))
		c.a.tap.RequestBody(&x.Exchange, data)
	}
	switch {
	case err != nil:
		c.why, c.owed = recorder.LostProtocol, false
		c.half[client].known = false
		x.lose(recorder.LostProtocol)
		c.cur = nil
		x.read()
	case done:
		if x.asked.Kind == http1.Chunked {
			x.Request.Trailers = x.asking.Trailers()
		}
		c.requested(x)
	}
	return n
}

// read follows the end of x's request.
func (x *exchange) read() {
	x.reading = false
	if x.replied {
		x.end()
		return
	}
	x.free()
}

func (c *conn) enqueue(x *exchange) {
	x.queued = true
	if c.last == nil {
		c.first = x
	} else {
		c.last.next = x
	}
	c.last = x
}

// dequeue takes the first exchange out of the queue.
func (c *conn) dequeue() *exchange {
	x := c.first
	if c.first = x.next; c.first == nil {
		c.last = nil
	}
	x.next, x.queued = nil, false
	return x
}

// ends follows the last byte of a direction.
func (c *conn) ends(dir int) {
	if c.secure != nil {
		c.endInner(dir)
	}
	if dir == server {
		c.serverEnds()
		return
	}
	if x := c.cur; x != nil {
		c.cur = nil
		switch {
		case x.parsed:
			x.Flags |= traffic.FlagDownstreamClosed | traffic.FlagRequestCut
			x.read()
		case blank(x.head):
			x.over = true
			x.read()
		default:
			x.lose(recorder.LostProtocol)
			x.read()
		}
	}
	if c.half[client].reset {
		c.resetAt = c.a.now // answers that were sent before may still be captured
		c.stall()
	}
}

// blank reports whether b is nothing but the empty lines that some clients send behind a body.
func blank(b []byte) bool {
	for _, ch := range b {
		if ch != '\r' && ch != '\n' {
			return false
		}
	}
	return true
}

// clientGone ends what the client no longer waits for.
func (c *conn) clientGone() {
	if c.secure != nil {
		c.innerGone()
	}
	for c.first != nil {
		x := c.dequeue()
		x.Flags |= traffic.FlagDownstreamClosed
		x.end()
	}
	c.shut()
}
