package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// A key names a connection whichever way a packet goes: the lower port first, then the lower address.
// VLANs are no part of it: a mirror shows packets with the tag in one direction and without in the other, and
// the interface any shows each of them both ways.
type key struct {
	a, b         netip.Addr
	aPort, bPort uint16
}

// keyOf reports also whether p goes from b to a.
func keyOf(p *packet) (k key, swapped bool) {
	k = key{p.src.Addr(), p.dst.Addr(), p.src.Port(), p.dst.Port()}
	if k.aPort > k.bPort || k.aPort == k.bPort && k.a.Compare(k.b) > 0 {
		k.a, k.b, k.aPort, k.bPort = k.b, k.a, k.bPort, k.aPort
		swapped = true
	}
	return k, swapped
}

// meet makes a connection for the packet at hand. to and from say which end may be the service's; a SYN
// says which it is.
func (a *Assembler) meet(k key, swapped, to, from bool) *conn {
	if len(a.conns) >= a.cfg.Streams {
		a.makeRoom()
	}
	var c *conn
	if n := len(a.spareConn); n > 0 {
		c, a.spareConn = a.spareConn[n-1], a.spareConn[:n-1]
	} else {
		c = new(conn)
	}
	a.conns[k] = c
	c.a, c.key = a, k
	a.begin(c, swapped, to, from)
	return c
}

// begin makes c a connection that starts, or is joined, with the packet at hand.
func (a *Assembler) begin(c *conn, swapped, to, from bool) {
	p := &a.p
	wait := [2][]segment{c.half[client].wait[:0], c.half[server].wait[:0]}
	*c = conn{a: a, key: c.key, list: c.list, older: c.older, newer: c.newer, stalled: c.stalled}
	c.half[client].wait, c.half[server].wait = wait[0], wait[1]
	c.why, c.seen = recorder.LostUnfinished, p.time
	a.list(c, a.now)
	a.n.Streams++
	switch {
	case p.syn:
		c.orient(p, swapped, p.acks)
	case to != from:
		c.orient(p, swapped, from)
	}
	if !p.syn {
		a.n.Joined++
		c.owed = true
	}
}

// orient says which end is the server: the sender of p, or the other one.
func (c *conn) orient(p *packet, swapped, fromServer bool) {
	c.oriented, c.swapped = true, swapped != fromServer
	c.from, c.to = p.src, p.dst
	if fromServer {
		c.from, c.to = p.dst, p.src
	}
	c.dst = c.a.nameOf(c.to)
	seed := p.seq
	if fromServer {
		seed = p.ack - 1 // what the client's SYN had, where this answers it
	}
	var b [48]byte
	binary.LittleEndian.PutUint64(b[:], c.a.cfg.Seed)
	from, to := c.from.Addr().As16(), c.to.Addr().As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	binary.LittleEndian.PutUint16(b[40:], c.from.Port())
	binary.LittleEndian.PutUint16(b[42:], c.to.Port())
	binary.LittleEndian.PutUint32(b[44:], seed)
	c.session = traffic.RequestID(b[:])
}

// forget ends c and takes it out of the table. What is under way is lost for why.
func (a *Assembler) forget(c *conn, why recorder.Reason) {
	c.finish(why)
	c.list.remove(c)
	delete(a.conns, c.key)
	if c.stalled {
		for i, s := range a.stalled {
			if s == c {
				last := len(a.stalled) - 1
				a.stalled[i], a.stalled[last] = a.stalled[last], nil
				a.stalled = a.stalled[:last]
				break
			}
		}
		c.stalled = false
	}
	if len(a.spareConn) < maxSpare {
		a.spareConn = append(a.spareConn, c)
	}
}

const maxSpare = 1024 // connections and exchanges kept for the next

// makeRoom lets go of a closed connection, or of the one that was silent for longest.
func (a *Assembler) makeRoom() {
	if a.gone.first != nil {
		a.forget(a.gone.first, recorder.LostUnfinished)
		return
	}
	for range len(a.conns) {
		c := a.open.first
		if c.seen <= c.listed {
			break
		}
		a.list(c, c.seen) // it was not silent since: its turn comes again
	}
	a.n.Evicted++
	a.forget(a.open.first, recorder.LostMemory)
}

// list puts c at the young end of its list.
func (a *Assembler) list(c *conn, when int64) {
	if c.list != nil {
		c.list.remove(c)
	}
	c.list = &a.open
	if c.closed {
		c.list = &a.gone
	}
	c.listed = when
	c.list.add(c)
}

// A list of connections, oldest first. Its links lie in the connections.
type list struct{ first, last *conn }

func (l *list) add(c *conn) {
	c.older, c.newer = l.last, nil
	if l.last != nil {
		l.last.newer = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *list) remove(c *conn) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		l.first = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		l.last = c.older
	}
	c.older, c.newer, c.list = nil, nil, nil
}
