package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
)

// inject arms a fault for as long as the step lasts. Its keys are those of a lease (injector.Lease) and of
// the fault; ttl, id and seed come from the step and the scenario.
//
//	inject: {fault: latency, lane: red, edge: gateway -> packet, delay: 50ms, jitter: 5ms, share: 100%}
type inject struct {
	lease injector.Lease
}

var _ = register("inject", func() verb { return new(inject) })

// The lease lasts leaseTTL and is renewed every renewEvery: were this run to hang, its fault would not.
const (
	leaseTTL   = 3 * time.Second
	renewEvery = time.Second
)

// UnmarshalConf reads the lease.
func (v *inject) UnmarshalConf(val conf.Value) error { return v.lease.UnmarshalConf(val) }

func (v *inject) check(s *Scenario, st *Step) error {
	switch {
	case st.For == 0:
		return st.Errorf("inject: for is missing: say how long the fault stands")
	case v.lease.TTL != 0:
		return st.Errorf("inject: ttl: a step's fault stands as long as the step: use for")
	case v.lease.ID != "":
		return st.Errorf("inject: id: the step's name is the fault's: use name")
	case v.lease.Seed != 0:
		return st.Errorf("inject: seed: the scenario's seed is used")
	}
	v.lease.ID, v.lease.Seed, v.lease.TTL = fileName(st.Name), s.Seed, leaseTTL
	// A table of its own is granted the lease and thrown away: whatever the injector refuses is found here.
	if _, err := injector.NewTable(injector.Config{}).Add(v.lease); err != nil {
		return st.Errorf("inject: %w", err)
	}
	if err := s.knowsLane(v.lease.Lane); err != nil {
		return st.Errorf("inject: lane: %w", err)
	}
	return s.checkEdge(st, v.lease.Edge)
}

func (v *inject) run(ctx context.Context, r *run, st *Step) error {
	if _, err := r.faults.Add(v.lease); err != nil {
		return err
	}
	from := r.sinceStart()
	r.observer.openWindow(st.Name)
	defer func() {
		r.observer.closeWindow(st.Name)
		status, err := r.faults.Remove(v.lease.ID)
		r.addFault(st.Name, from, status)
		if err != nil {
			r.warn("fault %s: %v", st.Name, err)
		}
	}()
	end := r.clock.Now().Add(st.For)
	for {
		next := r.clock.Now().Add(renewEvery)
		if !next.Before(end) {
			return r.clock.SleepUntil(ctx, end)
		}
		if err := r.clock.SleepUntil(ctx, next); err != nil {
			return err
		}
		if _, err := r.faults.Renew(v.lease.ID); err != nil {
			return fmt.Errorf("the fault ended early: %w", err)
		}
	}
}

// String is the step on one line.
func (v *inject) String() string {
	l := &v.lease
	return fmt.Sprintf("inject %s on %s, lane %s, share %s", injector.Kind(l.Fault), l.Edge, l.Lane, l.Share)
}
