package conformance

import (
	"net/netip"

	"github.com/redlane/redlane/internal/engine"
)

// A pair is one connection of a script: both of its ends, what each has done, and so what may come next.
type pair struct {
	id    int
	plug  *plug       // nil while a dial has not arrived
	line  *socketLine // where it is to arrive
	fails bool        // a dial to where nobody answers
	from  netip.AddrPort

	m *machine // nil before OnAccept
	h engine.Handle

	open   bool // OnAccept or OnDial
	eof    bool // OnEOF
	closed bool // OnClosed

	over     bool // by Close or Reset
	reset    bool // by Reset
	givenUp  bool // over before it was open
	shut     bool // by CloseWrite
	paused   bool // now
	wasQuiet bool // paused at any time

	sent, got int // bytes given to Send, bytes handed over
	later     []step
}

func (p *pair) live() bool { return p.m != nil && !p.over && !p.closed }

// The two streams of a pair.
func (p *pair) in() int  { return 2 * p.id }
func (p *pair) out() int { return 2*p.id + 1 }

func (p *pair) fromPeer() (sent int, fin, closed, rst bool) {
	if p.plug == nil {
		return 0, false, false, false
	}
	return p.plug.sent, p.plug.fin, p.plug.closed, p.plug.rst
}

// judgeData, judgeEOF and judgeClosed say what is wrong with an event; empty: nothing. What does not need
// the peer has been judged by the machine.
func (p *pair) judgeData(b []byte) string {
	sent, _, _, _ := p.fromPeer()
	if p.got+len(b) > sent {
		return "OnData has more than was sent"
	}
	if matches(p.in(), p.got, b) >= 0 {
		return "OnData has other bytes than were sent"
	}
	p.got += len(b)
	return ""
}

func (p *pair) judgeEOF() string {
	sent, fin, closed, rst := p.fromPeer()
	switch {
	case !fin && (!closed || rst):
		return "OnEOF, but the peer has not ended"
	case p.got < sent:
		return "OnEOF before everything was handed over"
	}
	p.eof = true
	return ""
}

func (p *pair) judgeClosed(stopping bool) string {
	p.closed = true
	sent, _, closed, rst := p.fromPeer()
	switch {
	case stopping || p.fails:
	case !closed:
		return "OnClosed, but nobody has ended the connection"
	case rst && p.plug.acked && p.open && !p.wasQuiet && p.got < sent:
		return "OnClosed before the last words of the peer"
	}
	return ""
}

// judgeRead says what is wrong with bytes the peer read.
func (p *pair) judgeRead(b []byte) string {
	if p.givenUp {
		return "the peer of a dial that was given up got bytes"
	}
	if p.plug.got+len(b) > p.sent {
		return "the peer got more than was sent"
	}
	if matches(p.out(), p.plug.got, b) >= 0 {
		return "the peer got other bytes than were sent"
	}
	return ""
}

// judgeEnd says what is wrong with the end of the stream to the peer.
func (p *pair) judgeEnd(stopping bool) string {
	switch {
	case stopping || p.closed || p.givenUp:
	case p.plug.outcome == ended && !p.shut && !p.over:
		return "the peer got FIN, but nothing was closed"
	case p.plug.outcome == ended && p.reset && !p.shut && !p.plug.local:
		return "the peer got FIN from Reset"
	case p.plug.outcome == ended && !p.reset && p.plug.got < p.sent:
		return "the peer got FIN before everything that was sent"
	case p.plug.outcome == broken && !p.reset && (!p.over || p.plug.sent == p.got):
		return "the peer got RST, but all was closed in order"
	}
	return ""
}

// missing says what must still happen if everybody waits; empty: nothing.
func (p *pair) missing() string {
	sent, fin, closed, rst := p.fromPeer()
	switch {
	case p.closed:
	case p.m == nil:
		if !closed {
			return "OnAccept"
		}
	case p.over:
		if p.plug != nil && !closed && p.plug.outcome == going {
			return "the end, at the peer"
		}
	case p.fails:
		return "OnClosed of a dial that must fail"
	case !p.open:
		if p.plug == nil || !rst {
			return "OnDial"
		}
	case p.plug == nil:
		return "the connection, at the peer"
	case rst && !(fin && p.shut):
		return "OnClosed after RST"
	case closed:
		if !p.eof {
			return "OnEOF or OnClosed"
		}
	case p.got < sent:
		return "OnData"
	case fin && !p.eof:
		return "OnEOF"
	case p.plug.got < p.sent:
		return "bytes, at the peer"
	case p.shut && p.plug.outcome == going:
		return "FIN, at the peer"
	}
	return ""
}
