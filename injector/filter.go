package injector

import (
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// Filter returns the filter that strikes for t. It stands below the lane filter, which gives exchanges
// their colour, and below retry, so that a fault can trigger the retry it tests.
func (t *Table) Filter() traffic.Filter { return (*filter)(t) }

type filter Table

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
		if l.Lane != x.Color || !l.Edge.matches(x.Src, x.Dst) {
			continue
		}
		if now < 0 {
			now = t.now() // only now: reading the clock costs more than all of the above
		}
		if l.until.Load() <= now {
			over = true
			continue
		}
		if a, struck := l.decide(x); struck {
			return a
		}
	}
	if over && t.mu.TryLock() { // whoever holds the lock sweeps too, or will
		t.sweep(now)
		t.mu.Unlock()
	}
	return a
}

// decide rolls the dice for x and leaves what came of it there.
func (l *lease) decide(x *traffic.Exchange) (a traffic.Action, struck bool) {
	l.looked.Add(1)
	if x.Fault.Rule == "" {
		x.Fault = traffic.Injected{Rule: l.ID, Kind: l.kind}
	}
	r := chance.Stream(l.Seed, l.ID, x.ID)
	if !chance.Hit(r, float64(l.Share)) {
		return a, false
	}
	if !l.gate.enter(l.MaxRequests, l.MaxActive) {
		l.overflow.Add(1)
		return a, false
	}
	l.struck.Add(1)
	a = l.Fault.Decide(Op{ID: x.ID, Caller: x.Src, Callee: x.Dst, Lane: x.Color, Method: x.Request.Method, Target: x.Request.Target}, r)
	x.Fault = traffic.Injected{Rule: l.ID, Kind: l.kind, Hit: true, Delay: a.Wait}
	if a.Wait > 0 {
		x.Flags |= traffic.FlagDelayInjected
	}
	if a.Ends() {
		x.Flags |= traffic.FlagFaultInjected
	}
	if a.Reply.Status != 0 {
		a.Reply.Flag |= traffic.FlagFaultInjected
	}
	return a, true
}

// Response implements traffic.Filter: a strike is over.
func (f *filter) Response(x *traffic.Exchange) {
	if !x.Fault.Hit {
		return
	}
	if l := (*f.byID.Load())[x.Fault.Rule]; l != nil {
		l.gate.leave()
	}
}
