package scenarios

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/traffic"
)

// result is everything the run found, expectations evaluated.
func (r *run) result(opt Options, stepsErr, cause error, invariants []reports.Invariant) *reports.Run {
	s := r.scenario
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &reports.Run{
		Scenario: s.Name, File: s.Path, Text: string(s.Text), Seed: s.Seed, Redlane: opt.Version, Host: Host(),
		Start: r.start, End: r.clock.Now(), Repeat: opt.Repeat,
		Ledgers: r.mu.ledgers, Replays: r.mu.replays, Faults: r.mu.faults, Warnings: r.mu.warnings, Files: r.mu.files,
		Traffic: r.observer.series(), Invariants: invariants,
	}
	switch {
	case errors.Is(cause, context.Canceled):
		out.Broken = "it was interrupted"
	case stepsErr != nil:
		out.Broken = stepsErr.Error()
	}
	for i := range s.Steps {
		st := &s.Steps[i]
		if noted := r.mu.steps[st]; noted != nil {
			out.Steps = append(out.Steps, *noted)
			continue
		}
		out.Steps = append(out.Steps, reports.Step{Actor: st.Name, Verb: st.Verb, Text: st.describe(), At: st.at(), For: st.For, Outcome: reports.StepNotRun})
	}
	counts := r.proxy.LaneCounts()
	for _, row := range counts.Rows {
		route := reports.Route{Service: row.Service, Color: string(row.Color), Lane: string(row.Lane), Reason: row.Reason, Count: row.N}
		if why, _ := traffic.ParseLaneReason(row.Reason); why.Escaped() {
			route.Escapes = row.N
		}
		out.Lanes = append(out.Lanes, route)
	}
	if counts.Caught > 0 {
		out.Lanes = append(out.Lanes, reports.Route{Reason: "caught before use", Count: counts.Caught, Escapes: counts.Caught})
	}
	r.evaluate(out)
	return out
}

// noteStep keeps what became of a step.
func (r *run) noteStep(st *Step, began time.Duration, err error) {
	noted := &reports.Step{
		Actor: st.Name, Verb: st.Verb, Text: st.describe(), At: st.at(), For: st.For,
		Began: began, Ended: r.sinceStart(), Outcome: reports.StepDone,
	}
	switch {
	case errors.Is(err, context.Canceled):
		noted.Outcome = reports.StepCut
	case err != nil:
		noted.Outcome, noted.Detail = reports.StepFailed, err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.steps[st] = noted
}

func (st *Step) at() time.Duration {
	if st.At == nil {
		return 0
	}
	return *st.At
}

// describe is the step on one line.
func (st *Step) describe() string {
	if d, ok := st.verb.(fmt.Stringer); ok {
		return d.String()
	}
	return st.Name
}

// addLedger enters the books of one stage.
func (r *run) addLedger(l traffic.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ledgers = append(r.mu.ledgers, l)
	slices.SortStableFunc(r.mu.ledgers, func(a, b traffic.Ledger) int { return cmp.Compare(a.Stage, b.Stage) })
}

func (r *run) addFile(path, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.files = append(r.mu.files, reports.File{Path: path, What: what})
}

// addFault enters a fault that is over.
func (r *run) addFault(name string, from time.Duration, status injector.Status) {
	side := func(s string) string {
		if s == "*" {
			return ""
		}
		return s
	}
	l := status.Lease
	f := reports.Fault{
		ID: name, Kind: injector.Kind(l.Fault), What: fmt.Sprint(l.Fault), Lane: string(l.Lane), From: from, To: r.sinceStart(),
		Caller: side(l.Edge.Caller), Service: side(l.Edge.Callee), Asked: float64(l.Share), Looked: status.Looked, Struck: status.Struck,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.faults = append(r.mu.faults, f)
	if status.Overflow > 0 {
		r.mu.warnings = append(r.mu.warnings, fmt.Sprintf("fault %s: its caps spared %d exchanges", name, status.Overflow))
	}
	if status.Undone > 0 {
		r.mu.warnings = append(r.mu.warnings, fmt.Sprintf("fault %s: it could not be done to %d exchanges", name, status.Undone))
	}
}

// Host is the machine and the build that drive a run.
func Host() reports.Host {
	h := reports.Host{Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.OS += " " + strings.TrimSpace(string(kernel))
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			h.CPU = strings.TrimLeft(line, " \t:")
		}
	}
	return h
}

// addRecorded counts what a recording holds.
func (r *run) addRecorded(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.recorded += n
}
