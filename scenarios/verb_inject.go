package scenarios

import (
	"context"
	"fmt"
	"strings"
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

// renewEvery is how often the lease is renewed: were this run to hang, its fault would not.
const renewEvery = time.Second

// UnmarshalConf reads the lease.
func (v *inject) UnmarshalConf(val conf.Value) error { return v.lease.UnmarshalConf(val) }

func (v *inject) check(s *Scenario, st *Step) error {
	switch {
	case st.For == 0:
		return st.Errorf("inject: for is missing: say how long the fault stands")
	case v.lease.TTL != 0:
		return st.Errorf("inject: ttl: a step's fault stands as long as the step: use for")
	case v.lease.Guard != "":
		return st.Errorf("inject: guard: a scenario has none; its expectations judge the run")
	case v.lease.ID != "":
		return st.Errorf("inject: id: the step's name is the fault's: use name")
	case v.lease.Seed != 0:
		return st.Errorf("inject: seed: the scenario's seed is used")
	}
	v.lease.ID, v.lease.Seed, v.lease.TTL = fileName(st.Name), s.Seed, st.For
	// A table of its own is granted the lease and thrown away: whatever the injector refuses is found here.
	if _, err := injector.NewTable(injector.Config{}).Add(v.lease); err != nil {
		return st.Errorf("inject: %w", err)
	}
	if err := s.knowsLane(v.lease.Lane); err != nil {
		return st.Errorf("inject: lane: %w", err)
	}
	if err := s.checkEdge(st, v.lease.Edge); err != nil {
		return err
	}
	return v.checkConnections(s, st)
}

// checkConnections refuses a fault of connections where none of them can be told to be the lane's.
func (v *inject) checkConnections(s *Scenario, st *Step) error {
	l := &v.lease
	if !injector.AtAccept(l.Fault) {
		return nil
	}
	for name, svc := range s.Services {
		if l.Edge.Callee != "*" && l.Edge.Callee != name {
			continue
		}
		for caller := range svc.Callers {
			if who, lane, _ := strings.Cut(caller, "@"); lane == string(l.Lane) && (l.Edge.Caller == "*" || l.Edge.Caller == who) {
				return nil
			}
		}
	}
	return st.Errorf("inject: edge: no caller on %s has a listener of lane %s, and a connection has no colour yet; name one in callers, such as %s@%s", l.Edge, l.Lane, l.Edge.Caller, l.Lane)
}

func (v *inject) run(ctx context.Context, r *run, st *Step) error {
	l := v.lease
	l.TTL = min(l.TTL+renewEvery, injector.MaxTTL) // the step ends its fault itself, when its time is over by its own clock
	if _, err := r.faults.Add(l); err != nil {
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
