package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/reports"
)

// evaluate says for each expectation what was measured and whether it holds. r holds everything else.
func (r *run) evaluate(out *reports.Run) {
	for i := range r.scenario.Expect {
		e := &r.scenario.Expect[i]
		got := reports.Expectation{Text: e.Text}
		r.judge(e, out, &got)
		out.Expect = append(out.Expect, got)
	}
}

func (r *run) judge(e *Expect, out *reports.Run, got *reports.Expectation) {
	switch e.Measure {
	case "ledger balanced":
		r.judgeLedgers(out, got)
		return
	case "invariants hold":
		judgeInvariants(out, got)
		return
	}
	value, n, why := r.take(e, out)
	got.Why = why
	if n == 0 {
		got.Unproven = true
		if got.Why == "" {
			got.Why = "no traffic to measure"
		}
		return
	}
	got.Got, got.OK = format(measures[e.Measure], value), compare(value, e.Op, e.Limit)
}

// take measures. n is how many observations the value stands on; 0 is none.
func (r *run) take(e *Expect, out *reports.Run) (value float64, n uint64, why string) {
	switch name, rest, _ := strings.Cut(e.Measure, "."); {
	case name == "due" || name == "sent" || name == "lag" || name == "achieved":
		return r.takeReplay(name, rest)
	case e.Measure == "escapes":
		for i := range out.Lanes {
			value += float64(out.Lanes[i].Escapes)
		}
		return value, 1, ""
	case e.Measure == "struck":
		for i := range out.Faults {
			if f := &out.Faults[i]; e.Select.During == "" || f.ID == e.Select.During {
				value += float64(f.Struck)
				n++
			}
		}
		return value, n, ""
	case e.Measure == "recorded":
		return float64(r.mu.recorded), 1, ""
	}
	c := r.observer.measure(e.Select)
	why = fmt.Sprintf("over %d exchanges", c.count)
	if c.count == 0 {
		why = ""
	}
	switch e.Measure {
	case "count":
		return float64(c.count), 1, ""
	case "rate":
		return float64(c.count) / out.End.Sub(out.Start).Seconds(), 1, why
	case "errors":
		return float64(c.errors) / float64(max(c.count, 1)), c.count, why
	case "max":
		return float64(c.latency.Max()), c.count, why
	}
	return float64(c.latency.Quantile(quantiles[e.Measure])), c.count, why
}

var quantiles = map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

func (r *run) judgeLedgers(out *reports.Run, got *reports.Expectation) {
	if len(out.Ledgers) == 0 {
		got.Unproven, got.Why = true, "nothing kept a ledger"
		return
	}
	got.OK = true
	for i := range out.Ledgers {
		if err := out.Ledgers[i].Balance(); err != nil {
			got.OK, got.Why = false, err.Error()
		}
	}
	got.Got = fmt.Sprintf("%d ledgers", len(out.Ledgers))
}

func judgeInvariants(out *reports.Run, got *reports.Expectation) {
	if len(out.Invariants) == 0 {
		got.Unproven, got.Why = true, "no endpoint answered GET "+invariantsPath
		return
	}
	broken := slices.IndexFunc(out.Invariants, func(inv reports.Invariant) bool { return !inv.OK })
	if got.OK = broken < 0; got.OK {
		got.Got = fmt.Sprintf("%d hold", len(out.Invariants))
		return
	}
	inv := &out.Invariants[broken]
	got.Got = "broken"
	got.Why = fmt.Sprintf("%s of %s in lane %s: %s", inv.Name, inv.Service, inv.Lane, inv.Detail)
}

func format(u unit, v float64) string {
	switch u {
	case duration:
		return time.Duration(v).Round(10 * time.Microsecond).String()
	case share:
		return fmt.Sprintf("%.3g%%", v*100)
	}
	return fmt.Sprintf("%.6g", v)
}
