package capture

import (
	"net/netip"

	"github.com/redlane/redlane/recorder"
)

// The two directions of a connection, by who sends.
const (
	client = iota
	server
)

// A conn is a TCP connection. Its client's stream is read as requests, its server's as responses, and the
// exchanges wait in the order of their requests:
//
//	client ─► half ─► cur (being read) ─► first … last (waiting for their responses)
//	server ─► half ─────────────────────────┘
//
// Bytes of the server that acknowledge bytes of the client are read after those, whatever order the packets
// were captured in.
type conn struct {
	a   *Assembler
	key key

	list         *list
	older, newer *conn
	listed       int64 // when it was put there
	seen         int64 // time of its last packet
	stalled      bool  // it is in a.stalled
	resetAt      int64 // the client reset it then, 0 if it did not

	oriented bool
	swapped  bool // the client is key.b
	from, to netip.AddrPort
	dst      string
	session  uint64
	seq      uint64

	half    [2]half
	waiting int64 // bytes that wait, of both

	cur         *exchange // its request is being read
	first, last *exchange // their responses are due
	secure      *secure   // it is TLS, and being decrypted

	// What the server was seen to send, to judge whether the client's next request is its turn (join.go).
	sent, sentAck            uint32 // the end of its data, and what the last of it acknowledged
	heardServer, heardClient bool
	gone                     uint32 // the end of the client's data that was passed over
	goneKnown                bool

	why       recorder.Reason // what was lost when a half is not known
	owed      bool            // ... and nothing has been counted for it yet
	joined    bool            // no exchange of it has ended well since it was joined
	aligned   bool            // no byte of the server has been read since the last safe point
	pipelined bool            // a request was sent before the response to the one before had come
	hold      bool            // the client may have changed the protocol: its bytes wait for the answer
	inner     bool            // it is what such a connection carries, see secure
	tunnel    bool            // it has
	closed    bool            // nothing more is read

	seg struct { // the segment being read
		ack   uint32
		acks  bool
		turn  bool
		fresh bool // nothing of it has been read
		time  int64
	}
}

// take takes in the packet at hand, which comes from key.b if swapped.
func (c *conn) take(p *packet, swapped bool) {
	c.seen = p.time
	if p.syn && !c.knows(p, swapped) {
		c.finish(recorder.LostGap)
		to, from := c.a.hasPort(p.dst.Port()) && c.a.serves(p.dst), c.a.hasPort(p.src.Port()) && c.a.serves(p.src)
		c.a.begin(c, swapped, to, from)
	}
	if !c.oriented && !c.orientByHead(p, swapped) {
		c.passOver(p)
		return
	}
	dir := client
	if swapped != c.swapped {
		dir = server
	}
	h, o := &c.half[dir], &c.half[1-dir]
	if p.syn {
		p.seq++
		h.begin(p.seq)
		if p.acks && !o.known && !c.closed {
			o.begin(p.ack)
		}
		if dir == server && !c.heardServer {
			c.sent, c.sentAck, c.heardServer = p.seq, p.ack, p.acks
		}
	}
	if p.acks {
		o.acknowledge(p.ack)
	}
	if len(p.data)+p.cut > 0 {
		c.payload(dir, p)
	}
	if p.fin || p.rst {
		c.close(dir, p)
	}
	if h.ended || o.ended || h.at < len(h.wait) || o.at < len(o.wait) {
		c.pump()
	}
	if c.behind() {
		c.stall()
	}
}

// knows reports whether the SYN p is of this connection: a copy, or the answer to the one that began it.
func (c *conn) knows(p *packet, swapped bool) bool {
	if !c.oriented {
		return false
	}
	dir := client
	if swapped != c.swapped {
		dir = server
	}
	h, o := &c.half[dir], &c.half[1-dir]
	switch {
	case h.started:
		return h.start == p.seq+1
	case p.acks && o.started:
		return o.start == p.ack
	}
	return !o.started && !c.heardClient && !c.heardServer // it is the first packet
}

// close takes in the FIN or RST of p.
func (c *conn) close(dir int, p *packet) {
	h := &c.half[dir]
	switch {
	case c.closed:
	case c.tunnel:
		if h.over = true; p.rst || c.half[1-dir].over {
			c.shut()
		}
	case h.known:
		h.endAt(p)
	case dir == server:
		c.serverEnds()
	case p.rst:
		c.resetAt = c.a.now
		c.stall()
	}
}

// payload takes in the data of p.
func (c *conn) payload(dir int, p *packet) {
	h := &c.half[dir]
	if c.tunnel {
		c.a.n.bytes.tunnel += uint64(len(p.data))
		c.a.cut(p.cut)
		return
	}
	if h.known && h.far(p.seq) {
		c.rejoin(p, dir)
		h = &c.half[dir]
	}
	end := p.seq + uint32(len(p.data)+p.cut)
	if p.cut > 0 {
		c.a.n.Truncated++
		c.a.cut(p.cut)
	}
	if dir == server {
		if !c.heardServer || less(c.sent, end) {
			c.sent, c.sentAck, c.heardServer = end, p.ack, true
		}
	} else {
		p.turn, p.safe = c.inTurn(p)
		c.heardClient = true
	}
	s := segment{seq: p.seq, ack: p.ack, acks: p.acks, turn: p.turn, safe: p.safe, time: p.time, b: p.data, cut: p.cut}
	if c.closed {
		if h.known && !less(h.next, end) {
			c.a.n.Duplicates++
			c.a.n.bytes.duplicate += uint64(len(s.b))
		} else {
			c.a.n.bytes.late += uint64(len(s.b))
		}
		return
	}
	if h.known {
		if !less(h.next, end) {
			c.a.n.Duplicates++
			c.a.n.bytes.duplicate += uint64(len(s.b))
			return
		}
		if h.at == len(h.wait) && !less(h.next, s.seq) && c.ready(dir, &s) {
			c.read(dir, &s)
			return
		}
	} else if dir == client {
		c.offer(&s)
		return
	} else if c.ready(dir, &s) {
		c.passed(&s)
		return
	}
	c.keep(dir, &s)
}

// ready reports whether s, which comes next in its direction, can be read now: the server's data is, when the
// client's data that it acknowledges has been.
func (c *conn) ready(dir int, s *segment) bool {
	if dir == client {
		return !c.hold
	}
	h := &c.half[client]
	return !h.known || !s.acks || c.hold || !less(h.next, s.ack)
}

// read reads what is new in s, which begins at or before the next byte of its direction. s.b need not
// outlive the call.
func (c *conn) read(dir int, s *segment) {
	h := &c.half[dir]
	c.seg.fresh = true
	if old := int(h.next - s.seq); old > 0 {
		k := min(old, len(s.b))
		c.a.n.bytes.duplicate += uint64(k)
		s.b, s.cut, s.seq = s.b[k:], s.cut-(old-k), h.next
		c.seg.fresh = false
	}
	c.seg.ack, c.seg.acks, c.seg.turn, c.seg.time = s.ack, s.acks, s.turn, max(s.time, c.seg.time)
	for again := true; again; {
		var n int
		switch {
		case c.secure != nil:
			n = c.decrypt(dir, s.b)
		case dir == client:
			n = c.requests(s.b)
		default:
			n = c.responses(s.b)
		}
		s.b, s.seq = s.b[n:], s.seq+uint32(n)
		c.a.n.bytes.used += uint64(n)
		again = dir == server && c.realigned(s)
	}
	switch {
	case len(s.b) == 0 && s.cut <= 0:
	case c.tunnel:
		c.a.n.bytes.tunnel += uint64(len(s.b))
	case c.closed:
		c.a.n.bytes.late += uint64(len(s.b))
	case !h.known:
		c.a.discard(c.why, len(s.b))
	case len(s.b) > 0: // held
		c.keep(dir, s)
	default:
		c.hole(dir, s.cut, recorder.LostTruncated)
	}
}

// realigned reports whether the server's stream was given up within s and goes on within s, at another
// exchange's response, which s.b then begins with.
func (c *conn) realigned(s *segment) bool {
	h := &c.half[server]
	if len(s.b) == 0 || !h.known || c.tunnel || c.closed {
		return false
	}
	if k := int(int32(h.next - s.seq)); k > 0 {
		k = min(k, len(s.b))
		c.a.discard(c.why, k)
		s.b, s.seq = s.b[k:], s.seq+uint32(k)
	}
	return len(s.b) > 0 && s.seq == h.next
}

// pump reads what waits, as far as it can be.
func (c *conn) pump() {
	for again := true; again && !c.closed; {
		again = false
		for dir := range c.half {
			again = c.pumpHalf(dir) || again
		}
	}
}

func (c *conn) pumpHalf(dir int) (progress bool) {
	h := &c.half[dir]
	for h.at < len(h.wait) {
		s := &h.wait[h.at]
		if h.known && less(h.next, s.seq) || !c.ready(dir, s) {
			return progress
		}
		taken := c.unkeep(dir)
		progress = true
		whole := taken.b
		switch {
		case c.tunnel:
			c.a.n.bytes.tunnel += uint64(len(taken.b))
		case c.closed:
			c.a.n.bytes.late += uint64(len(taken.b))
		case h.known && !less(h.next, taken.seq+uint32(len(taken.b)+taken.cut)):
			c.a.n.Duplicates++
			c.a.n.bytes.duplicate += uint64(len(taken.b))
		case h.known:
			c.read(dir, &taken)
		case dir == client:
			c.offer(&taken)
		default:
			c.passed(&taken)
		}
		c.a.segments.give(whole)
	}
	if h.ended && h.known && h.next == h.end && !h.over && !(dir == client && c.hold) {
		h.over = true
		h.next++ // the FIN has a number too
		c.ends(dir)
		return true
	}
	return progress
}
