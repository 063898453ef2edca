package proxy

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/redlane/redlane/internal/handover"
)

// A leaving listener is one that the configuration no longer asks for. A client whose connection is open
// for all it knows must not be reset because nobody had accepted it yet, so it leaves step by step:
//
//	wanted ─► nobody new gets in ─► who waits is accepted ─► closed ─► forgotten, its clients are gone
//	  ▲                │ wanted again
//	  └────────────────┘
type leaving struct {
	*listening
	key     string
	edge    *edge      // as it was
	sockets []*os.File // duplicates
	closed  bool
	back    bool // it is wanted again
}

// Who has sent a SYN by now has opened its connection within handshake, unless it is far away; nobody waits
// for longer than leaveTime for a driver that has no descriptors to accept with.
const (
	handshake = 50 * time.Millisecond
	leaveTime = time.Second
)

// leaveUnwanted sends away the listeners that g does not ask for, and gives g an edge for the clients that
// are left of those. The caller holds mu.
func (p *Proxy) leaveUnwanted(g, old *generation) {
	for key, ln := range p.mu.listeners {
		if g.edges[ln.tag] != nil {
			continue
		}
		delete(p.mu.listeners, key)
		if p.cfg.Abrupt {
			p.mu.cut = append(p.mu.cut, ln)
			continue
		}
		lv := &leaving{listening: ln, key: key, edge: old.edges[ln.tag]}
		p.mu.leaving[ln.tag] = lv
		if !p.mu.lent { // else somebody may be about to serve on it
			lv.sockets, _ = ln.Sockets() // without them it is closed at once
		}
		shut(lv.sockets)
		forget := g.mesh.TimeoutsOf("").Drain
		p.closing.Go(func() { p.leave(lv, forget) })
	}
	for tag, lv := range p.mu.leaving {
		g.gone[tag] = g.lastEdge(lv.edge)
	}
	if p.mu.draining { // the listeners have gone, clients of all of them may be left
		for tag, e := range old.edges {
			if g.edges[tag] == nil {
				g.gone[tag] = g.lastEdge(e)
			}
		}
		for tag, e := range old.gone {
			g.gone[tag] = g.lastEdge(e)
		}
	}
}

// closeCut closes what leaveUnwanted left for it. The caller does not hold mu, which those have to wait for that
// Close waits for.
func (p *Proxy) closeCut() {
	p.mu.Lock()
	all := p.mu.cut
	p.mu.cut = nil
	p.mu.Unlock()
	for _, ln := range all {
		ln.Close()
	}
}

// lastEdge is e under the filters of g, where its service may be gone.
func (g *generation) lastEdge(e *edge) *edge {
	last := *e
	if s := g.services[e.service.name]; s != nil {
		last.service = s
	} else {
		s := *e.service
		s.chain = newChain(s.name, s.lanes, g.slots)
		last.service = &s
	}
	return &last
}

// leave is the rest of the way.
func (p *Proxy) leave(lv *leaving, forget time.Duration) {
	p.empty(p.life, lv.sockets)
	p.mu.Lock()
	lv.closed = !lv.back
	p.mu.Unlock()
	if lv.closed {
		lv.Close()
	}
	for _, f := range lv.sockets {
		f.Close() // they too keep the socket alive
	}
	if lv.closed {
		_ = p.cfg.Clock.SleepUntil(p.life, p.cfg.Clock.Now().Add(forget)) // its end is as good
		p.mu.Lock()
		delete(p.mu.leaving, lv.tag)
		p.mu.Unlock()
	}
}

// comeBack returns the listener of that name, if it has not quite left. The caller holds mu.
func (p *Proxy) comeBack(key string) *listening {
	for tag, lv := range p.mu.leaving {
		if lv.key != key || lv.closed || len(lv.sockets) == 0 {
			continue
		}
		for _, f := range lv.sockets {
			if handover.Admit(f) != nil {
				return nil
			}
		}
		lv.back = true
		delete(p.mu.leaving, tag)
		return lv.listening
	}
	return nil
}

// closeListeners closes all listeners at the end, those that are leaving too.
func (p *Proxy) closeListeners(ctx context.Context) {
	p.mu.Lock()
	p.mu.draining = true
	all := maps.Clone(p.mu.listeners) // which stay known until who waits there has come in
	var sockets []*os.File
	if !p.mu.lent { // else somebody may be about to serve on them
		for _, ln := range all {
			files, _ := ln.Sockets() // without them it is closed at once
			sockets = append(sockets, files...)
		}
	}
	p.mu.Unlock()
	shut(sockets)
	p.empty(ctx, sockets)
	for _, ln := range all {
		ln.Close()
	}
	for _, f := range sockets {
		f.Close()
	}
	p.mu.Lock()
	clear(p.mu.listeners)
	p.mu.Unlock()
	p.end() // what was leaving already has had its time
	p.closing.Wait()
}

// shut lets nobody new in.
func shut(sockets []*os.File) {
	for _, f := range sockets {
		_ = handover.Refuse(f) // then who comes this late may be cut
	}
}

// empty returns when nobody waits at the sockets any more.
func (p *Proxy) empty(ctx context.Context, sockets []*os.File) {
	if len(sockets) == 0 {
		return
	}
	begun := p.cfg.Clock.Now()
	for next := begun.Add(handshake); p.cfg.Clock.SleepUntil(ctx, next) == nil; next = next.Add(handshake / 10) {
		if !slices.ContainsFunc(sockets, handover.Waiting) || next.Sub(begun) > leaveTime {
			return
		}
	}
}
