package proxy

import (
	"net/netip"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/traffic"
)

var _ secure.Doorman = (*loop)(nil)

// OnArrival asks the filters that decide about connections. The last one that wants something has it.
func (l *loop) OnArrival(h engine.Handle, tag int, from, to netip.AddrPort, secured bool) (a secure.Arrival) {
	l.adopt()
	e := l.gen.edge(tag, to)
	if e == nil || len(e.service.chain.conns) == 0 {
		return a
	}
	c := traffic.Connection{
		Session: l.arrived(h), Src: e.caller, Dst: e.service.name, SrcLane: e.lane, SrcAddr: from, TLS: secured,
	}
	for _, f := range e.service.chain.conns {
		w := f.Connection(&c)
		if w.Refuse {
			l.stats.closings[closedRefused].Add(1)
			return secure.Arrival{Refuse: true}
		}
		if w.Stall {
			a.Stalled = func() bool { return w.Grip == nil || !w.Grip.Over() }
		}
		if w.Certificate != nil {
			a.Certificate = w.Certificate
		}
	}
	return a
}

// An arrival is a client that filters know already, by the number its session will have.
type arrival struct {
	h  engine.Handle
	id uint64
}

// arrived gives a client its number early.
func (l *loop) arrived(h engine.Handle) uint64 {
	for int(h.Index()) >= len(l.arrivals) {
		l.arrivals = append(l.arrivals, arrival{})
	}
	l.arrivals[h.Index()] = arrival{h, l.ids.session()}
	return l.arrivals[h.Index()].id
}

// sessionOf is the number of the session that h becomes.
func (l *loop) sessionOf(h engine.Handle) uint64 {
	if i := int(h.Index()); i < len(l.arrivals) && l.arrivals[i].h == h {
		return l.arrivals[i].id
	}
	return l.ids.session()
}
