package drill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/scenarios"
)

// result judges what was measured and writes it down twice: as a journal, and as a report. The verdict is the
// report's.
func (r *run) result(ctx context.Context, err error) *Result {
	end := r.clock.Now()
	rep := &reports.Run{
		Scenario: r.x.Title, File: r.x.Path, Text: string(r.x.Text), Seed: r.drill.Seed, Redlane: r.opt.Version, Host: scenarios.Host(),
		Start: r.began, End: end, Repeat: r.opt.Repeat,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case refusal(err) != nil:
		rep.Stopped = err.Error()
		r.journal.Status = Aborted
	case ctx.Err() != nil:
		rep.Broken = "it was interrupted"
		r.journal.Status = Interrupted
	case err != nil:
		rep.Broken = err.Error()
		r.journal.Status = Aborted
	case r.mu.stopped != "":
		rep.Stopped = r.mu.stopped
	}
	r.steps(rep)
	r.feedsInto(rep)
	r.faultsInto(rep)
	if refusal(err) == nil {
		r.expectations(rep)
		r.drillInto(rep)
	}
	rep.Warnings = append(rep.Warnings, r.warnings...)
	verdict := reports.Judge(rep)
	r.record.Verdict, r.record.Code, r.record.Reasons = verdict.Word, verdict.Code, verdict.Reasons
	r.record.Audit = append(r.mu.audit, Entry{stamp(end), "drill over: " + verdict.Word + ": " + verdict.Sentence})
	r.journal.End, r.journal.Duration = stamp(end), end.Sub(r.began).Seconds()
	if err := r.journal.Sign(r.opt.SignWith); err != nil {
		rep.Warnings = append(rep.Warnings, err.Error())
	}
	return &Result{Journal: r.journal, Report: rep}
}

// steps are the activities, on the time line of the report.
func (r *run) steps(rep *reports.Run) {
	add := func(actor string, out *Outcome) {
		m, _ := out.Activity.(map[string]any)
		kind, _ := m["type"].(string)
		began, ended := r.offset(out.Start), r.offset(out.End)
		s := reports.Step{Actor: actor, Verb: kind, Text: out.name(), At: began, Began: began, Ended: ended, Outcome: reports.StepDone}
		if why := out.failure(); why != "" {
			s.Detail = why
			if out.Status == failed && actor == "method" {
				s.Outcome = reports.StepFailed
			}
		}
		rep.Steps = append(rep.Steps, s)
	}
	for i := range r.journal.Run {
		add("method", &r.journal.Run[i])
	}
	for i := range r.journal.Rollbacks {
		add("rollback", &r.journal.Rollbacks[i])
	}
}

func (r *run) offset(at string) time.Duration {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		panic("BUG: a time of our own cannot be read: " + at)
	}
	return max(0, t.Sub(r.began))
}

// feedsInto enters both replays and their books.
func (r *run) feedsInto(rep *reports.Run) {
	for _, f := range r.feeds {
		if f.result == nil {
			continue
		}
		one := scenarios.ReportReplay(f.result, r.began)
		one.Name = r.drill.Tape + " to " + r.drill.To
		rep.Replays = append(rep.Replays, one)
		ledger := f.result.Ledger
		ledger.Stage = "lane " + string(f.lane)
		rep.Ledgers = append(rep.Ledgers, ledger)
		if err := f.result.Valid(); err != nil {
			rep.Warnings = append(rep.Warnings, fmt.Sprintf("lane %s: %v", f.lane, err))
		}
	}
}

// faultsInto enters the leases, one line for each at each proxy.
func (r *run) faultsInto(rep *reports.Run) {
	shift := r.feedZero.Sub(r.began)
	side := func(s string) string {
		if s == "*" {
			return ""
		}
		return s
	}
	for _, f := range r.mu.faults {
		f.From, f.To = f.from.Seconds(), f.to.Seconds()
		r.record.Faults = append(r.record.Faults, *f)
	}
	slices.SortFunc(r.record.Faults, func(a, b FaultRecord) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.Proxy, b.Proxy), cmp.Compare(a.Last.ID, b.Last.ID))
	})
	for i := range r.record.Faults {
		f := &r.record.Faults[i]
		l := &f.Last.Lease
		rep.Faults = append(rep.Faults, reports.Fault{
			ID: f.Last.ID, Kind: injector.Kind(l.Fault), What: fmt.Sprint(l.Fault), Lane: string(l.Lane), From: f.from + shift, To: f.to + shift,
			Caller: side(l.Edge.Caller), Service: side(l.Edge.Callee), Asked: float64(l.Share), Looked: f.Last.Looked, Struck: f.Last.Struck,
		})
		if f.Last.Overflow > 0 {
			rep.Notes = append(rep.Notes, fmt.Sprintf("fault %s: its caps spared %d exchanges at %s", f.Last.ID, f.Last.Overflow, f.Proxy))
		}
	}
}

// drillInto enters the differences of the lanes, and those of the baseline.
func (r *run) drillInto(rep *reports.Run) {
	rec := r.record
	if len(rec.Differences) == 0 {
		return
	}
	d := reports.Drill{Edge: rec.Edge, Lane: rec.Lane, Control: rec.Control, Finding: string(rec.Finding)}
	if rec.Brake != nil {
		d.Brake = fmt.Sprintf("gone after %.1f ms", rec.Brake.TookMS)
	}
	if rec.Recovery != nil && rec.Recovery.OK {
		d.Recovery = fmt.Sprintf("%.3g s after the fault", rec.Recovery.After)
	}
	for i := range rec.Differences {
		one := &rec.Differences[i]
		text := one.Measure.text
		d.Rows = append(d.Rows, reports.DrillRow{
			Measure: string(one.Measure), Faulted: text(one.Faulted), Control: text(one.Control), Difference: text(one.Difference),
			Spread: text(one.Spread), Tolerated: text(one.Tolerated), Finding: string(one.Finding),
		})
	}
	for i := range rec.Baseline {
		b := &rec.Baseline[i]
		text, finding := b.Measure.text, "untouched"
		if !b.OK {
			finding = "touched"
		}
		d.Rows = append(d.Rows, reports.DrillRow{
			Measure: "baseline " + string(b.Measure), Faulted: text(b.During), Control: text(b.Without), Difference: text(b.Difference),
			Spread: text(b.Spread), Tolerated: text(b.Tolerated), Finding: finding,
		})
	}
	rep.Drills = append(rep.Drills, d)
}
