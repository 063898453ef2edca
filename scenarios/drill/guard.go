package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/injector/guard"
)

// guardFor is the guard as the proxies take it. It lives as long as the drill may.
func (r *run) guardFor() guard.Guard {
	g := r.drill.Guard
	life := time.Duration(r.drill.Steady+1)*r.drill.Window + r.drill.Recovery + time.Minute
	for i := range r.x.Method {
		a := &r.x.Method[i]
		life += a.Before + a.After + 10*time.Second
	}
	asked := guard.Guard{
		ID: g.ID, Lane: r.drill.Lane, Service: r.drill.Service, ErrorRate: g.ErrorRate, P99: g.P99, Min: g.Min, K: g.KOfN[0], N: g.KOfN[1],
		Baseline: guard.None, TTL: life,
	}
	if len(r.plane.proxies) > 1 {
		asked.Service = "" // not every proxy stands where users come in
	}
	if t := r.first.lanes["baseline"]; t != nil && t.count > 0 {
		asked.Baseline, asked.BaselineErrorRate, asked.BaselineP99 = guard.Same, g.BaselineErrors, g.BaselineP99
	}
	return asked
}

// armGuards puts the guard into every proxy, where it looks every 100 ms at what passes, and waits until each can judge
// it.
func (r *run) armGuards(ctx context.Context) error {
	if r.drill.Guard == nil {
		return nil
	}
	asked := r.guardFor()
	err := r.plane.each(func(one *proxy) error {
		_, err := one.guards.Arm(ctx, asked)
		return err
	})
	r.guarded = true // some may have it, also where one has not
	if err != nil {
		return r.passed("the guard can be armed", err)
	}
	r.audit("guard %s armed at %d proxies, the baseline: %s", asked.ID, len(r.plane.proxies), asked.Baseline)
	return r.passed("the guard can be evaluated", r.awaitGuards(ctx))
}

// guardPatience is how long a guard may take to have seen enough.
const guardPatience = 5 * time.Second

// awaitGuards waits until every proxy can judge: a lease is refused where that cannot be.
func (r *run) awaitGuards(ctx context.Context) error {
	for until := r.clock.Now().Add(guardPatience); ; {
		all, err := r.guardStatus(ctx)
		if err != nil {
			return err
		}
		why := ""
		for i := range all {
			if s := &all[i]; s.State != guard.Ready {
				why = fmt.Sprintf("%s: %s", r.plane.proxies[i].base, s.Why)
			}
		}
		if why == "" {
			return nil
		}
		if r.clock.Now().After(until) {
			return fmt.Errorf("%s, for %s", why, guardPatience)
		}
		if err := r.sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
}

func (r *run) guardStatus(ctx context.Context) ([]guard.Status, error) {
	all := make([]guard.Status, len(r.plane.proxies))
	err := r.plane.each(func(one *proxy) (err error) {
		all[r.plane.place(one)], err = one.guards.Status(ctx, r.drill.Guard.ID)
		return err
	})
	return all, err
}

// trippedGuard is why a guard in a proxy stopped the fault; empty while none did.
func (r *run) trippedGuard(ctx context.Context) string {
	if !r.guarded {
		return ""
	}
	all, err := r.guardStatus(ctx)
	if err != nil {
		return "" // looked at again; five looks without an answer end the drill
	}
	for i := range all {
		if s := &all[i]; s.State == guard.Tripped {
			return fmt.Sprintf("guard %s at %s: %s", s.ID, r.plane.proxies[i].base, s.Why)
		}
	}
	return ""
}

// dropGuards takes the guard away again.
func (r *run) dropGuards(ctx context.Context) {
	if !r.guarded {
		return
	}
	err := r.plane.each(func(one *proxy) error {
		_, err := one.guards.Remove(ctx, r.drill.Guard.ID)
		return err
	})
	if err != nil {
		r.audit("take the guard away: %v", err)
	}
}

// underGuard is the body of a request that arms a fault in the drill's lane, with the guard in it, so that the
// proxies end the fault by themselves; any other body as it is. The experiment need not say it, because in a stock
// runner, which arms no guard, the lease would be refused. A controller goes by guards of its own: what is armed through
// one the drill ends itself when its guard trips.
func (r *run) underGuard(target string, body any) any {
	m, ok := body.(map[string]any)
	ours := slices.ContainsFunc(r.plane.proxies, func(one proxy) bool { return strings.HasPrefix(target, one.base+"/faults") })
	if !ok || !ours || !r.guarded || m["fault"] == nil || m["guard"] != nil || m["lane"] != string(r.drill.Lane) {
		return body
	}
	m["guard"] = r.drill.Guard.ID // a copy of ours: fill has made it
	return m
}
