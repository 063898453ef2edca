package drill

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errStopped is why a method ends that a guard stopped.
var errStopped = errors.New("stopped by a guard")

// method carries out the activities one after the other. What fails is noted and the rest goes on, as in stock
// runners; a method that was not carried out makes the drill INVALID in the end.
func (r *run) method(ctx context.Context) {
	during, stopDuring := context.WithCancel(ctx)
	var looking sync.WaitGroup
	if r.x.Strategy == "continuously" || r.x.Strategy == "during-method-only" {
		looking.Go(func() { r.lookDuring(during) })
	}
	outcomes := make([]*Outcome, len(r.x.Method))
	var background sync.WaitGroup
	for i := range r.x.Method {
		a := &r.x.Method[i]
		if r.sleep(ctx, a.Before) != nil {
			break
		}
		r.audit("%s: %s", a.Type, a.Name)
		act := func() {
			out := r.actor.do(ctx, a)
			if why := out.failure(); why != "" {
				r.audit("%s: %s", a.Name, why)
			}
			outcomes[i] = &out
		}
		if a.Background {
			background.Go(act)
		} else {
			act()
		}
		if r.sleep(ctx, a.After) != nil {
			break
		}
	}
	background.Wait()
	stopDuring()
	looking.Wait()
	for _, out := range outcomes {
		if out != nil {
			r.journal.Run = append(r.journal.Run, *out)
		}
	}
}

// looks reports whether the strategy of the experiment looks at the hypothesis at that time.
func (r *run) looks(when string) bool {
	if r.x.Hypothesis == nil {
		return false
	}
	switch r.x.Strategy {
	case "default", "continuously":
		return true
	}
	return r.x.Strategy == when+"-method-only"
}

// hypothesis asks all probes and notes what they found.
func (r *run) hypothesis(ctx context.Context, when string, into **State) bool {
	s := r.look(ctx)
	*into = &s
	if s.Met {
		r.audit("hypothesis %s: met", when)
	} else {
		r.audit("hypothesis %s: not met: %s", when, s.failure())
	}
	return s.Met
}

func (r *run) look(ctx context.Context) State {
	s := State{Met: true, Probes: []Outcome{}}
	for i := range r.x.Hypothesis.Probes {
		out := r.actor.do(ctx, &r.x.Hypothesis.Probes[i])
		s.Met = s.Met && out.failure() == ""
		s.Probes = append(s.Probes, out)
	}
	return s
}

// lookDuring looks once a second as long as the method runs.
func (r *run) lookDuring(ctx context.Context) {
	for r.sleep(ctx, time.Second) == nil {
		s := r.look(ctx)
		if ctx.Err() != nil {
			return // cut short
		}
		if !s.Met {
			r.audit("hypothesis during the method: not met: %s", s.failure())
		}
		r.journal.SteadyStates.During = append(r.journal.SteadyStates.During, s)
	}
}

// after looks at the hypothesis once the method is over, unless that was cut.
func (r *run) after(ctx, method context.Context) {
	switch {
	case ctx.Err() != nil:
		r.journal.Status = Interrupted
		return
	case errors.Is(context.Cause(method), errStopped):
		r.journal.Status = Aborted
		return
	}
	for i := range r.journal.SteadyStates.During {
		r.journal.Deviated = r.journal.Deviated || !r.journal.SteadyStates.During[i].Met
	}
	if r.looks("after") && !r.hypothesis(ctx, "after", &r.journal.SteadyStates.After) {
		r.journal.Deviated = true
	}
	if r.journal.Deviated {
		r.journal.Status = Failed
	}
}

// rollbackLimit is how long all rollbacks together may take.
const rollbackLimit = 30 * time.Second

// rollback runs the rollbacks, whatever ended the method, and then ends what is still live in the lane. With leases
// there is nothing to undo; a rollback only ends a fault before its time.
func (r *run) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackLimit)
	defer cancel()
	for i := range r.x.Rollbacks {
		a := &r.x.Rollbacks[i]
		_ = r.sleep(ctx, a.Before)
		r.audit("rollback: %s", a.Name)
		out := r.actor.do(ctx, a)
		if why := out.failure(); why != "" {
			r.audit("%s: %s", a.Name, why)
		}
		r.journal.Rollbacks = append(r.journal.Rollbacks, out)
		_ = r.sleep(ctx, a.After)
	}
	left, err := r.plane.removeLane(ctx, string(r.drill.Lane))
	r.dropGuards(ctx)
	r.record.Recovery = &RecoveryRecord{Within: r.drill.Recovery.Seconds(), Leases: left}
	switch {
	case err != nil:
		r.warnings = append(r.warnings, "after the drill not every proxy could be asked whether a fault is left: "+err.Error())
	case left > 0:
		r.audit("%d leases were still live and have been ended", left)
	}
	r.seenGone()
}

// recover keeps feeding both lanes, so that the windows after the fault can show that nothing was left behind.
func (r *run) recover(ctx context.Context) {
	r.audit("fault over; both lanes are fed for %s more", r.drill.Recovery)
	if r.sleep(ctx, r.drill.Recovery) != nil {
		r.journal.Status = Interrupted
	}
	if r.x.Hypothesis != nil && r.x.Strategy != "skip" && ctx.Err() == nil {
		r.hypothesis(ctx, "after the recovery", &r.record.Recovery.Hypothesis)
	}
	r.spans.end = r.since()
}
