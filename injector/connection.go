package injector

import (
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// AtAccept reports whether f strikes connections as they open, and no exchanges.
func AtAccept(f Fault) bool {
	c, ok := f.(connFault)
	return ok && c.AtAccept()
}

// Connection implements traffic.ConnFilter. A connection has no colour yet: only those of a caller whose own lane is
// known, because it calls through a listener of its own, can be hit.
func (f *filter) Connection(c *traffic.Connection) traffic.Welcome {
	live := f.live.Load()
	if live == nil || c.SrcLane == "" {
		return traffic.Welcome{}
	}
	return (*Table)(f).welcome(*live, c)
}

func (t *Table) welcome(live []*lease, c *traffic.Connection) traffic.Welcome {
	now := int64(-1)
	for _, l := range live {
		if l.conn == nil || l.Lane != c.SrcLane || !l.Edge.matches(c.Src, c.Dst) {
			continue
		}
		if now < 0 {
			now = t.now()
		}
		if l.until.Load() <= now {
			continue
		}
		if w, struck := l.decideConn(c, now); struck {
			return w
		}
	}
	return traffic.Welcome{}
}

// decideConn rolls the dice for a connection. Nobody is told when that ends, so that it is never under way.
func (l *lease) decideConn(c *traffic.Connection, now int64) (w traffic.Welcome, struck bool) {
	l.looked.Add(1)
	r := chance.Stream(l.Seed, l.ID, c.Session)
	if !chance.Hit(r, float64(l.Share)) {
		return w, false
	}
	if !l.gate.enter(l.MaxRequests, 0) {
		l.overflow.Add(1)
		return w, false
	}
	l.gate.leave()
	w = l.conn.DecideConn(ConnOp{
		Session: c.Session, At: l.table.at(now), Caller: c.Src, Callee: c.Dst, Lane: c.SrcLane, TLS: c.TLS, Issue: l.table.issue,
	}, r)
	if !w.Refuse && !w.Stall && w.Certificate == nil {
		l.undone.Add(1)
		return w, false
	}
	l.struck.Add(1)
	w.Grip = l
	return w, true
}
