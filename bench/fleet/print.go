package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/redlane/redlane/replayer/fleet"
)

func (m shape) print(r *fleet.Report, seconds []moment, starts []time.Time, childCPU time.Duration) error {
	if len(starts) != m.workers {
		return fmt.Errorf("%d of %d workers began", len(starts), m.workers)
	}
	var skew []time.Duration
	for _, s := range starts {
		skew = append(skew, s.Sub(r.Started).Abs())
	}
	slices.Sort(skew)
	p99 := skew[(len(skew)*99+99)/100-1]
	var longest time.Duration
	for _, t := range r.Takeovers {
		longest = max(longest, t.Took)
	}
	valid := "valid"
	if err := r.Valid(); err != nil {
		valid = err.Error()
	}
	first, last := seconds[0], seconds[len(seconds)-1]
	took := last.at.Sub(first.at).Seconds()
	cores := (last.cpu - first.cpu).Seconds() / took
	peak := 0.0
	for i := 1; i < len(seconds); i++ {
		peak = max(peak, (seconds[i].cpu-seconds[i-1].cpu).Seconds()/max(0.5, seconds[i].at.Sub(seconds[i-1].at).Seconds()))
	}
	each := func(a, b int64) float64 { return float64(b-a) / took / float64(m.workers) }
	was, is := first.bus, last.bus

	fmt.Println(&r.Ledger)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "measure\tvalue\tgoal\t\n")
	fmt.Fprintf(w, "workers, modelled\t%d\t\t\n", m.workers)
	fmt.Fprintf(w, "requests sent, by the books\t%.1f M/s\t\t\n", r.Achieved/1e6)
	fmt.Fprintf(w, "controller and bus, CPU\t%.2f cores (most in a second %.2f)\t1\t\n", cores, peak)
	fmt.Fprintf(w, "the same, each worker\t%.2f ms a second\t\t\n", 1000*cores/float64(m.workers))
	fmt.Fprintf(w, "bus, each worker\t%.1f messages in, %.1f out, %.1f KB in, %.1f KB out a second\t\t\n",
		each(was.InMessages, is.InMessages), each(was.OutMessages, is.OutMessages), each(was.InBytes, is.InBytes)/1000, each(was.OutBytes, is.OutBytes)/1000)
	fmt.Fprintf(w, "cut off for reading slowly\t%d\t0\t\n", is.Slow)
	fmt.Fprintf(w, "all modelled workers, CPU\t%.2f cores of %d\t\t\n", childCPU.Seconds()/r.Elapsed.Seconds(), runtime.NumCPU())
	fmt.Fprintf(w, "T0 missed by, p50\t%v\t\t\n", skew[len(skew)/2].Round(time.Microsecond))
	fmt.Fprintf(w, "T0 missed by, p99\t%v\t5ms\t\n", p99.Round(time.Microsecond))
	fmt.Fprintf(w, "skew as the report says, p99\t%v\t\t\n", r.Skew.Round(time.Microsecond))
	fmt.Fprintf(w, "workers taken for dead\t%d\t%d\t\n", len(r.Takeovers), m.die)
	if m.die > 0 {
		fmt.Fprintf(w, "longest takeover\t%v\t2s\t\n", longest.Round(time.Millisecond))
	}
	fmt.Fprintf(w, "run\t%s, after %v\tvalid\t\n", valid, r.Elapsed.Round(time.Millisecond))
	if err := w.Flush(); err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{
		"fleet_workers": m.workers, "fleet_requests_per_s": r.Achieved, "fleet_valid": r.Valid() == nil,
		"fleet_controller_cores": cores, "fleet_skew_p99_us": p99.Microseconds(), "fleet_taken_for_dead": len(r.Takeovers),
	})
	if err != nil {
		return err
	}
	fmt.Printf("result: %s\n", line)
	return r.Ledger.Balance()
}
