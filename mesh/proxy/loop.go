package proxy

import (
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/traffic"
)

// A loop is one loop's part of the proxy: its connections, its pools, its counters. Nothing of it is
// touched by another loop, except counters, which are read.
type loop struct {
	engine.Loop
	secure *secure.Loop  // the same
	joiner engine.Joiner // nil: the engine cannot join connections
	proxy  *Proxy
	number int

	gen      *generation // what the caches below belong to
	peers    []slot      // by engine.Handle.Index
	arrivals []arrival   // the same; empty where no filter decides about connections
	sessions int
	draining bool
	until    time.Time // when draining: how long a client may keep its connection without a request
	closed   bool      // draining, and no listener is left
	told     bool

	targets map[targetKey]*target         // over all generations
	byEp    map[*traffic.Endpoint]*target // the same, found faster, for gen only
	cursor  map[*traffic.Endpoint]uint32  // round robin, by the first of the endpoints

	freeSessions  []*session
	freeExchanges []*exchange
	up, down      []byte // what is being put together for one connection during one event
	scratch       traffic.Message

	ids   ids
	stats loopStats
	log   logBuffer
}

// A peer is the other side of a connection, a client or an endpoint, as the loop's events reach it.
type peer interface {
	opened()
	data(b []byte)
	eof()
	writable()
	closed(err error)
	timer()
}

type slot struct {
	h engine.Handle
	p peer
}

var _ engine.Handler = (*loop)(nil)

func (l *loop) add(h engine.Handle, p peer) {
	i := int(h.Index())
	for i >= len(l.peers) {
		l.peers = append(l.peers, slot{})
	}
	l.peers[i] = slot{h, p}
}

// drop forgets h; its events, should any be on their way, find nobody.
func (l *loop) drop(h engine.Handle) {
	if i := int(h.Index()); i < len(l.peers) && l.peers[i].h == h {
		l.peers[i] = slot{}
	}
}

func (l *loop) peer(h engine.Handle) peer {
	if i := int(h.Index()); i < len(l.peers) && l.peers[i].h == h {
		return l.peers[i].p
	}
	return nil
}

// OnAccept makes the connection a session.
func (l *loop) OnAccept(h engine.Handle, tag int, from, to netip.AddrPort) {
	l.adopt()
	e, gone := l.gen.edge(tag, to), false
	if e == nil { // it may have waited while its listener was on its way out
		e = l.gen.gone[tag]
		gone = e != nil
	}
	if e == nil || l.told {
		l.acceptUnknown(h, tag, from, to)
		return
	}
	if in := l.gen.edges[tag]; in != nil && in.diversion != nil && !l.spares(in.diversion, from, to) {
		l.Reset(h)
		return
	}
	s := l.newSession(h, tag, e, from, to)
	l.add(h, s)
	if gone {
		s.leave()
	}
	if e.service.opaque {
		s.beginStream()
	}
}

// OnDial, OnData, OnEOF, OnWritable and OnTimer pass the event to whom it concerns.
func (l *loop) OnDial(h engine.Handle) {
	if p := l.peer(h); p != nil {
		p.opened()
	}
}

func (l *loop) OnData(h engine.Handle, b []byte) {
	if p := l.peer(h); p != nil {
		p.data(b)
	}
}

func (l *loop) OnEOF(h engine.Handle) {
	if p := l.peer(h); p != nil {
		p.eof()
	}
}

func (l *loop) OnWritable(h engine.Handle) {
	if p := l.peer(h); p != nil {
		p.writable()
	}
}

func (l *loop) OnTimer(h engine.Handle) {
	if p := l.peer(h); p != nil {
		p.timer()
	}
}

// OnClosed is the last event of h.
func (l *loop) OnClosed(h engine.Handle, err error) {
	if p := l.peer(h); p != nil {
		l.drop(h)
		p.closed(err)
	}
}

// adopt makes the loop's caches those of the current generation.
func (l *loop) adopt() {
	g := l.proxy.gen.Load()
	if g == l.gen {
		return
	}
	l.gen = g
	clear(l.byEp)
	clear(l.cursor)
	for k, t := range l.targets {
		if !g.addrs[k] {
			t.retire()
			delete(l.targets, k)
		}
	}
	for _, e := range g.edges {
		l.stats.edge(e)
		if e.diversion != nil {
			for _, v := range e.diversion.virtual {
				l.stats.edge(v)
			}
		}
	}
	for _, e := range g.gone {
		l.stats.edge(e)
	}
	for _, s := range l.peers {
		switch p := s.p.(type) {
		case *session:
			p.adopt(g)
		case *early:
			l.drop(p.h)
			l.Resume(p.h)
			l.OnAccept(p.h, p.tag, p.from, p.to)
		}
	}
}
