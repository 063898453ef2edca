package drill

import (
	"fmt"

	"github.com/redlane/redlane/reports"
)

// expectations are what the verdict rests on.
func (r *run) expectations(rep *reports.Run) {
	add := func(text, got string, ok bool, why string) {
		rep.Expect = append(rep.Expect, reports.Expectation{Text: text, Got: got, OK: ok, Why: why})
	}
	unproven := func(text, why string) {
		rep.Expect = append(rep.Expect, reports.Expectation{Text: text, Unproven: true, Why: why})
	}
	if b := r.record.Brake; b != nil && b.Why == "" {
		add("the brake works", fmt.Sprintf("gone after %.1f ms", b.TookMS), true, b.How)
	}
	states := &r.journal.SteadyStates
	if s := states.Before; s != nil && !s.Met {
		unproven("the hypothesis holds before the fault", s.failure())
		return // nothing was armed
	}
	r.expectFault(add, unproven)
	r.expectDifferences(add, unproven)
	for _, look := range []struct {
		text string
		s    *State
	}{{"the hypothesis holds after the method", states.After}, {"the hypothesis holds after the recovery", r.recovered()}} {
		if look.s != nil {
			add(look.text, look.s.word(), look.s.Met, "")
		}
	}
	missed := 0
	why := ""
	for i := range states.During {
		if s := &states.During[i]; !s.Met {
			missed, why = missed+1, s.failure()
		}
	}
	if n := len(states.During); n > 0 {
		add("the hypothesis holds during the method", fmt.Sprintf("%d of %d looks", n-missed, n), missed == 0, why)
	}
	r.expectRecovery(add, unproven)
	r.expectBaseline(rep, add)
	r.expectNoEscape(add)
}

func (r *run) recovered() *State {
	if r.record.Recovery == nil {
		return nil
	}
	return r.record.Recovery.Hypothesis
}

type (
	adder    = func(text, got string, ok bool, why string)
	doubter  = func(text, why string)
	combined struct{ looked, struck, overflow uint64 }
)

// expectFault: a fault that nobody met, or one without the caps that were asked for, shows nothing.
func (r *run) expectFault(add adder, unproven doubter) {
	var sum combined
	var bare string
	for i := range r.record.Faults {
		f := &r.record.Faults[i].Last
		sum.looked, sum.struck, sum.overflow = sum.looked+f.Looked, sum.struck+f.Struck, sum.overflow+f.Overflow
		if b := &r.drill.Blast; over(f.Lease.MaxRequests, b.MaxRequests) || over(f.Lease.MaxActive, b.MaxActive) {
			bare = f.ID
		}
		if f.Lease.Edge != r.drill.Edge {
			unproven("the fault lies where the drill says", fmt.Sprintf("lease %s lies on %s, the drill is about %s", f.ID, f.Lease.Edge, r.drill.Edge))
		}
	}
	switch {
	case len(r.record.Faults) == 0:
		unproven("a fault was armed", "no lease of lane "+string(r.drill.Lane)+" was seen at any proxy")
	case sum.struck == 0:
		unproven("the fault struck", fmt.Sprintf("it looked at %d exchanges and struck none", sum.looked))
	default:
		add("the fault struck", fmt.Sprintf("%d of %d exchanges", sum.struck, sum.looked), true, fmt.Sprintf("asked for %s, delivered %.4g%%; a request that is repeated is struck again", r.record.Faults[0].Last.Lease.Share, 100*float64(sum.struck)/float64(sum.looked)))
	}
	if bare != "" {
		add("the fault has the caps of blast", "", false, "lease "+bare+" has none, or higher ones")
	}
}

// over reports whether a cap is missing or above the limit. 0 is none.
func over(asked, limit uint64) bool { return limit > 0 && (asked == 0 || asked > limit) }

func (r *run) expectDifferences(add adder, unproven doubter) {
	if r.spans.armed < 0 {
		return // said already
	}
	r.record.Windows = pairs(r.faulted, r.control, &r.spans)
	all, why := Judge(r.record.Windows, &r.drill.Tolerate)
	if why != "" {
		unproven(fmt.Sprintf("lane %s is as lane %s under the fault", r.drill.Lane, r.drill.Control), why)
		return
	}
	r.record.Differences, r.record.Finding = all, Held
	for i := range all {
		d := &all[i]
		text := fmt.Sprintf("%s(%s) - %s(%s) <= %s", d.Measure, r.drill.Lane, d.Measure, r.drill.Control, d.Measure.text(d.Tolerated))
		why := fmt.Sprintf("%s: %s", d.Finding, d.Why)
		r.record.Finding = worse(r.record.Finding, d.Finding)
		if d.Finding == Unclear {
			unproven(text, why)
			continue
		}
		add(text, d.Measure.text(d.Difference), d.Finding != Broken, why)
	}
}

// worse is the finding that counts.
func worse(a, b Finding) Finding {
	rank := map[Finding]int{Held: 0, Degraded: 1, Unclear: 2, Broken: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

func (r *run) expectRecovery(add adder, unproven doubter) {
	rec := r.record.Recovery
	if rec == nil || r.spans.armed < 0 {
		return
	}
	why := ""
	if rec.Leases > 0 {
		why = "they were ended then"
	}
	add("no fault is left after the rollbacks", fmt.Sprintf("%d leases", rec.Leases), rec.Leases == 0 || r.mu.stopped != "", why)
	text := fmt.Sprintf("the lanes are alike again within %s", r.drill.Recovery)
	if n := len(ofPhase(r.record.Windows, Recovery)); n < settledAfter {
		unproven(text, fmt.Sprintf("%d windows after the fault; want %d", n, settledAfter))
		return
	}
	rec.After, rec.OK = Recovered(r.record.Windows, &r.drill.Tolerate, r.drill.Window.Seconds())
	if !rec.OK {
		add(text, "not seen", false, fmt.Sprintf("no %d windows in a row within the A/A spread", settledAfter))
		return
	}
	add(text, fmt.Sprintf("%.3g s", rec.After), true, fmt.Sprintf("%d windows in a row within the A/A spread", settledAfter))
}

func (r *run) expectBaseline(rep *reports.Run, add adder) {
	r.record.Baseline = judgeBaseline(r.mu.samples, &r.spans, &r.drill.Tolerate)
	if r.record.Baseline == nil {
		rep.Notes = append(rep.Notes, "the baseline had no traffic at "+r.drill.Service+" to compare")
		return
	}
	for i := range r.record.Baseline {
		b := &r.record.Baseline[i]
		add(fmt.Sprintf("the baseline's %s is untouched", b.Measure), b.Measure.text(b.Difference), b.OK,
			fmt.Sprintf("%s without, %s during, A/A spread %s", b.Measure.text(b.Without), b.Measure.text(b.During), b.Measure.text(b.Spread)))
	}
}

func (r *run) expectNoEscape(add adder) {
	if n := len(r.mu.samples); n > 0 && r.first != nil {
		escapes := r.mu.samples[n-1].escapes - min(r.first.escapes, r.mu.samples[n-1].escapes)
		add("escapes == 0", fmt.Sprint(escapes), escapes == 0, "counted by the proxies")
	}
}
