package capture

import (
	"errors"

	"github.com/redlane/redlane/internal/wire/tlsrecord"
	"github.com/redlane/redlane/recorder"
)

// A secure is what a connection that is TLS has between its streams and its exchanges: a connection within,
// which gets the plaintext of each record as a segment that is never late.
//
//	client ─► half ─► tls ─► plain's half ─► requests
//	server ─► half ─► tls ─► plain's half ─► responses
//
// The books of bytes are those of the wire: what plain counts of bytes is put back, see deliver. Bytes that are
// missing end the decryption, because where the next record begins is not known behind them.
type secure struct {
	tls    *tlsrecord.Conn
	plain  *conn
	sent   [2]uint32 // plaintext so far, the place of the next byte
	ended  [2]bool   // plain was told
	opened bool      // there was plaintext
	sealed uint64    // bytes read before
	cost   int64     // bytes of memory it is counted with
}

const (
	recordHandshake = 0x16    // the first byte of a TLS connection; no method begins with it
	secureCost      = 4 << 10 // bytes, of keys and of the connection within
)

// isSecure looks whether the client's stream begins here, and is to be decrypted. It is asked behind a byte that
// no request begins with, so that a plain connection pays for one comparison.
func (c *conn) isSecure() bool {
	h, s := &c.half[client], &c.half[server]
	if c.a.cfg.Keys == nil || c.inner || !h.started || h.next != h.start {
		return false
	}
	if !s.known { // its SYN was not seen: it has said nothing yet
		if !c.seg.acks {
			return false
		}
		c.align(c.seg.ack)
		c.aligned = false
	}
	in := &conn{a: c.a, key: c.key, inner: true, oriented: true, swapped: c.swapped, from: c.from, to: c.to, dst: c.dst, session: c.session, why: recorder.LostUnfinished}
	in.half[client].begin(0)
	in.half[server].begin(0)
	c.secure = &secure{tls: tlsrecord.New(c.a.cfg.Keys), plain: in, cost: secureCost}
	c.a.memory += secureCost
	return true
}

// decrypt reads bytes of a TLS connection. It stops early where the stream is given up, or where the client's
// bytes have to wait for the server's hello.
func (c *conn) decrypt(dir int, b []byte) (n int) {
	a, h := c.a, &c.half[dir]
	for n < len(b) && c.secure != nil && h.known && !c.closed && !c.tunnel && !(dir == client && c.hold) {
		t := c.secure
		data, k, err := t.tls.Next(dir, a.plain, b[n:])
		n += k
		h.next += uint32(k)
		if !t.opened {
			t.sealed += uint64(k)
		}
		if err != nil {
			c.seal(err)
			return n
		}
		cost := int64(secureCost + t.tls.Memory())
		a.memory += cost - t.cost
		t.cost = cost
		if a.memory > a.cfg.Memory {
			c.giveUp()
			return n
		}
		c.hold = t.tls.Waits()
		if len(data) > 0 {
			c.deliver(dir, data)
			a.plain = data[:0]
		}
		if t.tls.Ended(dir) {
			c.endInner(dir)
		}
		c.follow()
	}
	return n
}

// deliver gives plaintext to the connection within.
func (c *conn) deliver(dir int, data []byte) {
	a, t := c.a, c.secure
	if !t.opened {
		t.opened = true
		a.n.Decrypted++
	}
	books := a.n.bytes
	t.plain.payload(dir, &packet{seq: t.sent[dir], data: data, time: c.seg.time})
	t.sent[dir] += uint32(len(data))
	t.plain.pump() // what an answer has released
	a.n.bytes = books
}

// follow does for the connection what the one within has done: both ends of a stream are the same, and what is
// not read inside need not be decrypted.
func (c *conn) follow() {
	in := c.secure.plain
	switch {
	case in.tunnel:
		c.endSecure(recorder.LostProtocol)
		c.dig()
	case in.closed:
		c.shut()
	case !in.half[client].known && !in.half[server].known:
		c.why, c.owed, c.hold = in.why, false, false
		c.half[client].known, c.half[server].known = false, false
		c.endSecure(in.why)
	default:
		for dir := range in.half {
			if !in.half[dir].known && c.half[dir].known {
				c.why, c.owed = in.why, false
				c.half[dir].known = false
			}
		}
	}
}

// seal gives up a connection that cannot be decrypted, or not from here on.
func (c *conn) seal(err error) {
	a, t := c.a, c.secure
	var why tlsrecord.Error
	errors.As(err, &why) // Next has no others
	if a.n.Sealed == nil {
		a.n.Sealed = make(map[string]uint64)
	}
	a.n.Sealed[string(why)]++
	if !t.opened { // it was nothing but hellos
		a.n.bytes.used -= t.sealed
		a.discard(recorder.LostProtocol, int(t.sealed))
	}
	c.unsecure(recorder.LostProtocol)
}

// unsecure gives up both streams of a TLS connection, and the exchanges under way. There may have been more,
// nobody can know: one is counted at least.
func (c *conn) unsecure(why recorder.Reason) {
	in := c.secure.plain
	under := in.cur != nil || in.first != nil
	c.endSecure(why)
	if !under {
		c.a.miss(why)
	}
	c.why, c.owed, c.hold = why, false, false
	c.half[client].known, c.half[server].known = false, false
}

// endInner tells the connection within that a direction ends. A record that breaks off is no good end.
func (c *conn) endInner(dir int) {
	t, books := c.secure, c.a.n.bytes
	if t.ended[dir] {
		return
	}
	t.ended[dir] = true
	in := t.plain
	in.seg.time = c.seg.time
	if h := &in.half[dir]; h.known {
		h.ended, h.end = true, t.sent[dir]
		h.reset = dir == server && (c.half[dir].reset || t.tls.Partial(dir))
		in.pump()
	} else if dir == server {
		in.serverEnds()
	}
	c.a.n.bytes = books
}

// innerGone is clientGone of the connection within.
func (c *conn) innerGone() {
	books := c.a.n.bytes
	c.secure.plain.clientGone()
	c.a.n.bytes = books
}

// endSecure frees what a TLS connection has more than others. What is under way is lost for why.
func (c *conn) endSecure(why recorder.Reason) {
	t, books := c.secure, c.a.n.bytes
	if t == nil {
		return
	}
	c.secure = nil
	t.plain.loseAll(why)
	c.a.n.bytes = books
	c.a.memory -= t.cost
}
