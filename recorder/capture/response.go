package capture

import (
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// responses reads the server's bytes. It stops early where the stream is given up or becomes a tunnel.
func (c *conn) responses(b []byte) (n int) {
	h := &c.half[server]
	for n < len(b) && h.known && !c.tunnel {
		x := c.first
		if x == nil {
			c.unsolicited()
			return n
		}
		if c.aligned {
			c.aligned = false
			if c.seg.acks && less(c.seg.ack, x.headEnd) { // sent before the request was there: not its response
				c.pipelined = true
				c.loseServer(h.next, c.why)
				return n
			}
		}
		if x.FirstByte == 0 {
			x.FirstByte = x.since(c.seg.time)
		}
		var k int
		var ok bool
		if x.answered {
			k, ok = c.responseBody(x, b[n:])
		} else {
			k, ok = c.responseHead(x, b[n:])
		}
		n += k
		if !ok {
			return n // wherever the stream goes on, it is not here
		}
		h.next += uint32(k)
	}
	return n
}

// unsolicited follows bytes of the server that answer no request.
func (c *conn) unsolicited() {
	c.half[server].known = false
	if c.half[client].known {
		c.why, c.owed = recorder.LostProtocol, false
		c.a.miss(recorder.LostProtocol)
	}
}

// responseHead reads the head of x's response, or a part of it. ok is false where the stream was given up.
func (c *conn) responseHead(x *exchange, b []byte) (n int, ok bool) {
	var err error
	limits := &c.a.cfg.Limits
	if len(x.back) == 0 {
		x.back = append(x.back, b[:min(len(b), wholeMax)]...)
		n, err = http1.ParseResponse(x.back, x.Request.Method, &x.Response, &x.answer, limits)
		x.back = x.back[:n]
	}
	if n == 0 && err == nil {
		var whole bool
		had := cap(x.back)
		x.back, n, x.scanned, whole = http1.CollectHead(x.back, b, x.scanned, limits)
		x.charge(cap(x.back) - had)
		if !whole {
			return n, true
		}
		if _, err = http1.ParseResponse(x.back, x.Request.Method, &x.Response, &x.answer, limits); err == nil {
			x.scanned = 0
		}
	}
	switch {
	case err != nil, x.answer.Kind == http1.Tunnel && x.answer.Upgrade && !x.asked.Upgrade:
		x.Response.Reset()
		c.loseServer(c.half[server].next, recorder.LostProtocol)
		return 0, false
	case x.Response.Status < 200 && x.Response.Status != 101:
		if x.Response.Status == 100 {
			x.Flags |= traffic.FlagContinued
		} else {
			x.Flags |= traffic.FlagInterim
		}
		x.Response.Reset()
		x.back = x.back[:0]
		return n, true
	}
	x.answered = true
	if x.answer.LooseSpace {
		x.Flags |= traffic.FlagLooseSpace
	}
	x.answering.Init(x.answer, nil)
	switch x.answer.Kind {
	case http1.Tunnel:
		x.Flags |= traffic.FlagUpgraded
		c.complete(x)
		c.dig()
	case http1.NoBody:
		c.complete(x)
	case http1.Length:
		if x.answer.Length == 0 {
			c.complete(x)
		}
	}
	return n, true
}

func (c *conn) responseBody(x *exchange, b []byte) (n int, ok bool) {
	data, n, done, err := x.answering.Next(b)
	if len(data) > 0 && !x.over {
		x.Response.BodySize += int64(len(data))
		c.a.tap.ResponseBody(&x.Exchange, data)
	}
	switch {
	case err != nil:
		c.loseServer(c.half[server].next+uint32(n), recorder.LostProtocol)
		return n, false
	case done:
		c.complete(x)
	}
	return n, true
}

// complete follows the last byte of the response to the first exchange of the queue.
func (c *conn) complete(x *exchange) {
	if x.answer.Kind == http1.Chunked {
		x.Response.Trailers = x.answering.Trailers()
	}
	x.Latency = x.since(c.seg.time)
	x.replied = true
	c.dequeue()
	c.joined = false
	if c.hold && c.first == nil && x.answer.Kind != http1.Tunnel {
		c.hold = false // it was refused: requests follow
	}
	if !x.reading {
		x.end()
	}
}

// dig makes c a tunnel: what passes from now on is counted and not looked at.
func (c *conn) dig() {
	c.tunnel, c.hold = true, false
	if !c.inner {
		c.a.n.Tunnels++
	}
	for dir := range c.half {
		for h := &c.half[dir]; h.at < len(h.wait); {
			s := c.unkeep(dir)
			c.a.n.bytes.tunnel += uint64(len(s.b))
			c.a.segments.give(s.b)
		}
	}
	for c.first != nil {
		c.dequeue().lose(recorder.LostProtocol)
	}
}

// serverEnds follows the last byte of the server: no response follows.
func (c *conn) serverEnds() {
	reset := c.half[server].reset
	for c.first != nil {
		x := c.first
		if x.answered && !reset {
			if done, _ := x.answering.AtEOF(); done {
				c.complete(x)
				continue
			}
		}
		c.dequeue()
		if !x.answered {
			x.Response.Reset()
		}
		if x.FirstByte > 0 {
			x.Latency = x.since(c.seg.time)
		}
		x.Flags |= traffic.FlagUpstreamClosed
		if x.reading {
			x.Flags |= traffic.FlagRequestCut
			c.cur, x.reading = nil, false
		}
		x.end()
	}
	if x := c.cur; x != nil { // its response came early, or its head never got whole
		c.cur, x.reading = nil, false
		if x.replied {
			x.Flags |= traffic.FlagRequestCut
			x.end()
		} else {
			x.lose(recorder.LostProtocol)
		}
	}
	c.shut()
}
