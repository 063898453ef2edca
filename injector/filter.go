package injector

import (
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// Filter returns the filter that strikes for t. It stands below the lane filter, which gives exchanges
// their colour, and below retry, so that a fault can trigger the retry it tests. It is a traffic.ConnFilter.
func (t *Table) Filter() traffic.Filter { return (*filter)(t) }

type filter Table

var _ traffic.ConnFilter = (*filter)(nil)

// Request implements traffic.Filter. Leases look at an exchange oldest first until one strikes.
func (f *filter) Request(x *traffic.Exchange) traffic.Action {
	live := f.live.Load()
	if live == nil || x.Color == "" {
		return traffic.Action{}
	}
	return (*Table)(f).look(*live, x)
}

func (t *Table) look(live []*lease, x *traffic.Exchange) (a traffic.Action) {
	now, over := int64(-1), false
	for _, l := range live {
		if l.Lane != x.Color || !l.Edge.matches(x.Src, x.Dst) || l.conn != nil || !l.scope.matches(x) {
			continue
		}
		if now < 0 {
			now = t.now() // only now: reading the clock costs more than all of the above
		}
		if l.until.Load() <= now {
			over = true
			continue
		}
		if l.decide(x, now, &a) {
			return a
		}
	}
	if over {
		t.trySweep(now)
	}
	return a
}

// trySweep takes what is over out of live, unless somebody holds the lock, who sweeps too, or will.
func (t *Table) trySweep(now int64) {
	if t.mu.TryLock() {
		t.sweep(now)
		t.mu.Unlock()
	}
}

// decide rolls the dice for x, leaves what came of it there, and reports whether it struck. Where it did not, a may
// still ask to look at the answer.
func (l *lease) decide(x *traffic.Exchange, now int64, a *traffic.Action) (struck bool) {
	l.looked.Add(1)
	if x.Fault.Rule == "" {
		x.Fault = traffic.Injected{Rule: l.ID, Kind: l.kind}
	}
	r := chance.Stream(l.Seed, l.ID, x.ID)
	hit := chance.Hit(r, float64(l.Share)) // drawn in any case: what r yields next is the fault's
	switch {
	case l.Per == PerConnection:
		hit = chance.Hit(chance.Stream(l.Seed, l.ID, x.Session), float64(l.Share))
	case x.Unnamed: // its id has nothing to say, so that its connection may get its share evenly
		hit = chance.Even(l.Seed, l.ID, x.Session, x.Seq) < float64(l.Share)
	}
	op := Op{
		ID: x.ID, Session: x.Session, At: l.table.started + now,
		Caller: x.Src, Callee: x.Dst, Lane: x.Color, Method: x.Request.Method, Target: x.Request.Target,
	}
	if s, ok := l.Fault.(*Stale); ok {
		key := s.key(x)
		if op.Earlier = l.answers.get(key); op.Earlier == nil {
			if hit {
				l.undone.Add(1)
			}
			l.watch(x, key, a)
			return false
		}
	}
	if !hit {
		return false
	}
	if !l.gate.enter(l.MaxRequests, l.MaxActive) {
		l.overflow.Add(1)
		return false
	}
	if s, ok := l.Fault.(seated); ok {
		op.Full = !l.seats.enter(0, s.seats())
	}
	l.struck.Add(1)
	*a = l.Fault.Decide(op, r)
	l.mark(x, a)
	l.grip(a, x)
	return true
}

// mark leaves on x what a does to it.
func (l *lease) mark(x *traffic.Exchange, a *traffic.Action) {
	x.Fault = traffic.Injected{Rule: l.ID, Kind: l.kind, Hit: true, Delay: a.Wait}
	harms := a.Harm != nil
	if harms {
		if s, ok := a.Harm.Shaper.(*fixed); ok {
			x.Fault.Delay += s[traffic.Downstream].Delay
			// Of an End the proxy says itself whether it came to that: the body may be too short.
			harms = x.Fault.Delay == 0 && s[traffic.Upstream].End == 0 && s[traffic.Downstream].End == 0
		}
	}
	if x.Fault.Delay > 0 {
		x.Flags |= traffic.FlagDelayInjected
	}
	if a.Ends() || harms {
		x.Flags |= traffic.FlagFaultInjected
	}
	if a.Reply.Status != 0 {
		a.Reply.Flag |= traffic.FlagFaultInjected
	}
}

// Response implements traffic.Filter: a strike is over.
func (f *filter) Response(x *traffic.Exchange) {
	if x.Fault.Rule == "" {
		return // no lease has looked at it
	}
	if f.watching.n.Load() > 0 {
		f.watching.over(x)
	}
	if !x.Fault.Hit {
		return
	}
	if l := (*f.byID.Load())[x.Fault.Rule]; l != nil {
		l.gate.leave()
		if x.Fault.Kind == kindExhaust && !x.Flags.Has(traffic.FlagFaultInjected) {
			l.seats.leave()
		}
	}
}
