package capture

import (
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// A connection whose beginning was not seen, or that lost bytes, is read again from a safe point on: a
// segment of the client that begins with a whole request head, at a moment when the server had been seen to
// have all that came before it, and the client all that the server had sent. The number it acknowledges is
// then where the response begins:
//
//	client   … request ─┐                      ┌─ request
//	server              └─ response, which     ┘  acknowledges the response,
//	                       acknowledges …         and begins where the response acknowledged to
//
// Clients that send requests before their turn, pipelining, have no safe point: a response that is still
// due cannot be told from the one that is wanted. Where that is known nothing is read again.

// inTurn reports whether p, data of the client, is sent with no response known to be due: it goes for a
// client whose stream is whole. safe is the stronger condition for one whose stream is not.
func (c *conn) inTurn(p *packet) (turn, safe bool) {
	switch {
	case !p.acks:
		return false, false
	case !c.heardServer:
		return !c.heardClient, false
	case p.ack == c.sent:
		return c.sentAck == p.seq, c.sentAck == p.seq
	}
	return less(c.sent, p.ack), false // the client heard what we did not
}

// A probe reads heads that may turn out to be none.
type probe struct {
	m traffic.Message
	f http1.Framing
}

// isHead reports whether b begins with a whole request head of a method in common use: a segment may begin
// in the middle of another one's name.
func (a *Assembler) isHead(b []byte) bool {
	if len(b) < 16 || b[0] <= ' ' || b[0] >= 0x7f {
		return false
	}
	n, err := http1.ParseRequest(b, &a.probe.m, &a.probe.f, &a.cfg.Limits)
	return n > 0 && err == nil && commonMethod(a.probe.m.Method)
}

func commonMethod(m []byte) bool {
	switch string(m) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", // RFC 9110, RFC 5789
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH": // WebDAV
		return true
	}
	return false
}

// orientByHead finds out which end is the client of a connection whose SYN was not seen: the one that sends
// a request.
func (c *conn) orientByHead(p *packet, swapped bool) bool {
	if !c.a.isHead(p.data) {
		return false
	}
	c.orient(p, swapped, false)
	return true
}

// passOver counts data of a connection nobody knows the ends of.
func (c *conn) passOver(p *packet) {
	if n := len(p.data); n > 0 {
		c.a.discard(c.why, n)
		c.owes(n)
	}
	c.a.cut(p.cut)
	if p.rst {
		c.shut()
	}
}

// offer looks whether s, data of the client, is a safe point, and reads on from there if it is.
func (c *conn) offer(s *segment) {
	end := s.seq + uint32(len(s.b)+s.cut)
	if c.goneKnown && !less(c.gone, end) && !less(end+maxJump, c.gone) {
		c.a.n.Duplicates++
		c.a.n.bytes.duplicate += uint64(len(s.b))
		return
	}
	head := c.a.isHead(s.b)
	if !head || !s.safe || c.pipelined {
		c.gone, c.goneKnown = end, true
		if head {
			c.owed = false
			c.a.miss(c.why)
		}
		c.passed(s)
		return
	}
	if c.owed {
		c.owed = false // nothing of what came before was an exchange of ours, as far as can be known
	}
	for c.first != nil {
		c.dequeue().lose(c.why)
	}
	h := &c.half[client]
	h.known, h.next, h.started, h.start = true, s.seq, true, s.seq
	c.joined = true
	c.align(s.ack)
	c.read(client, s)
}

// align makes place where the next response begins. What waits and lies before it is given up.
func (c *conn) align(place uint32) {
	h := &c.half[server]
	h.known, h.next = true, place
	c.aligned = true
	for h.at < len(h.wait) && less(h.wait[h.at].seq, place) {
		s := c.unkeep(server)
		c.a.discard(c.why, len(s.b))
		c.a.segments.give(s.b)
	}
}

// passed counts data that is not read.
func (c *conn) passed(s *segment) {
	c.a.discard(c.why, len(s.b))
	c.owes(len(s.b))
}

// owes counts the exchange that the n bytes passed over were about, once.
func (c *conn) owes(n int) {
	if c.owed && n > 0 {
		c.owed = false
		c.a.miss(c.why)
	}
}

// rejoin follows a packet that is too far from what is known of c to be of the same connection.
func (c *conn) rejoin(p *packet, dir int) {
	swapped := c.swapped != (dir == server)
	c.finish(recorder.LostGap)
	c.a.begin(c, swapped, false, false)
	c.orient(p, swapped, dir == server)
}
