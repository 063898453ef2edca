package proxy

import (
	"context"
	"time"
)

// A drain loses no request:
//
//	nobody new is let in ─► who waits at a listener is taken in, the listener is closed
//	every response from now on says that its connection closes
//	a connection without a request is kept for a while: its client may be sending one
//	what is left at the timeout is cut
//
// How long that while is depends on why. At the end of the context it is a second: whoever uses its
// connection is told in that time, and the process is to end. After HandOver the next process serves
// already and nothing is urgent: all of the timeout but a margin, in which what comes last is answered.
const idleGrace = time.Second

func (p *Proxy) drain(serve context.Context) {
	limit := p.gen.Load().mesh.TimeoutsOf("").Drain
	now := p.cfg.Clock.Now()
	keep := min(limit-min(limit/10, time.Second), idleGrace)
	if p.hand.over.Err() != nil {
		keep = limit - min(limit/10, time.Second)
	}
	until := now.Add(keep)
	p.post(func(l *loop) { l.drain(until) })
	p.closeListeners(serve)
	for end := now.Add(limit); ; {
		p.post((*loop).close)
		if p.cfg.Clock.SleepUntil(serve, p.cfg.Clock.Now().Add(look)) != nil || int(p.drained.Load()) == len(p.loops) {
			return
		}
		if p.cfg.Clock.Now().After(end) {
			break
		}
	}
	if n := p.Active(); n > 0 {
		p.cfg.Logger.Warn("drain took too long, what is left is cut", "exchanges", n, "timeout", limit)
	}
}

// look is how often a drain looks whether it is over.
const look = 5 * time.Millisecond

// drain is one loop's part.
func (l *loop) drain(until time.Time) {
	l.draining, l.until = true, until
	for _, s := range l.peers {
		if c, ok := s.p.(*session); ok {
			c.leave()
		}
	}
	l.secure.Hurry(hurry)
}

// hurry is what a draining loop leaves clients for their TLS handshake: those that have begun it mean to ask
// something, and those that have not may be silent for as long as the drain.
const hurry = 2 * time.Second

// close follows when no listener is left.
func (l *loop) close() {
	l.closed = true
	l.tellDrained()
}

// OnNobody follows the last client that failed its TLS handshake.
func (l *loop) OnNobody() { l.tellDrained() }

// tellDrained says, once, that a draining loop has no client left and gets no more. Who is at the TLS
// handshake is a client to be, for as long as one without a request would be kept.
func (l *loop) tellDrained() {
	if !l.closed || l.told || l.sessions > 0 || l.secure.Handshaking() > 0 && l.Now().Before(l.until) {
		return
	}
	l.told = true
	l.proxy.drained.Add(1)
}
