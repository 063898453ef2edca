package drill

import (
	"fmt"
	"math"
	"slices"
)

// A Measure is one number by which the lanes are compared.
type Measure string

// The measures.
const (
	ErrorRate Measure = "error rate"
	P50       Measure = "p50"
	P99       Measure = "p99"
)

// Measures are all of them, in the order of reports.
var Measures = []Measure{ErrorRate, P50, P99}

func (m Measure) of(r *Reading) float64 {
	switch m {
	case ErrorRate:
		return r.ErrorRate
	case P50:
		return r.P50
	}
	return r.P99
}

// text is a value of m for people.
func (m Measure) text(v float64) string {
	if m == ErrorRate {
		return fmt.Sprintf("%.3g%%", v*100)
	}
	return fmt.Sprintf("%.4g ms", v)
}

// allowed is what t tolerates of m, in m's own unit.
func (t *Tolerate) allowed(m Measure) float64 {
	switch m {
	case ErrorRate:
		return float64(t.Errors)
	case P50:
		return ms(t.P50)
	}
	return ms(t.P99)
}

// A Difference is what the fault did to one measure: faulted lane minus control lane, window by window.
//
//	spread      the largest difference, either way, of a steady window: what two equal lanes show (A/A)
//	difference  the median of the windows under the fault
type Difference struct {
	Measure    Measure `json:"measure"`
	Unit       string  `json:"unit"` // share or ms
	Control    float64 `json:"control"`
	Faulted    float64 `json:"faulted"` // medians of the windows under the fault
	Difference float64 `json:"difference"`
	Spread     float64 `json:"aa_spread"`
	Tolerated  float64 `json:"tolerated"`
	Finding    Finding `json:"finding"`
	Why        string  `json:"why"`
}

// A Finding is what a difference comes to.
type Finding string

// The findings. Held: no difference that equal lanes do not show as well. Degraded: one, within what is tolerated.
// Broken: more than that. Unclear: the lanes differ so much by themselves that it cannot be told.
const (
	Held     Finding = "held"
	Degraded Finding = "degraded"
	Broken   Finding = "broken"
	Unclear  Finding = "unclear"
)

// leastWindows and leastRequests are what a judgement needs of each phase.
const (
	leastWindows  = 3
	leastRequests = 100
)

// Judge compares the lanes by all measures. why is not empty when there is too little to compare.
func Judge(all []Pair, t *Tolerate) (out []Difference, why string) {
	steady, fault := ofPhase(all, Steady), ofPhase(all, Fault)
	for _, phase := range []struct {
		name  string
		pairs []Pair
	}{{"before the fault", steady}, {"under the fault", fault}} {
		var n uint64
		for i := range phase.pairs {
			n += phase.pairs[i].Control.Count
		}
		if len(phase.pairs) < leastWindows || n < leastRequests {
			return nil, fmt.Sprintf("%d windows with %d requests of the control lane %s; want %d and %d", len(phase.pairs), n, phase.name, leastWindows, leastRequests)
		}
	}
	for _, m := range Measures {
		d := Difference{Measure: m, Unit: "ms", Spread: spread(steady, m), Tolerated: t.allowed(m)}
		if m == ErrorRate {
			d.Unit = "share"
		}
		d.Control = medianOf(fault, func(p *Pair) float64 { return m.of(&p.Control) })
		d.Faulted = medianOf(fault, func(p *Pair) float64 { return m.of(&p.Faulted) })
		d.Difference = medianOf(fault, func(p *Pair) float64 { return m.of(&p.Faulted) - m.of(&p.Control) })
		d.Finding = finding(d.Difference, d.Spread, d.Tolerated)
		d.Why = fmt.Sprintf("%s against %s in the control lane; A/A spread %s; %d windows", m.text(d.Faulted), m.text(d.Control), m.text(d.Spread), len(fault))
		out = append(out, d)
	}
	return out, ""
}

// finding judges a difference. Less than the control lane has is no harm.
func finding(diff, spread, tolerated float64) Finding {
	switch {
	case diff > tolerated+spread:
		return Broken
	case diff <= spread && (tolerated == 0 || spread <= tolerated):
		return Held
	case diff <= tolerated-spread:
		return Degraded
	}
	return Unclear
}

func spread(steady []Pair, m Measure) (most float64) {
	for i := range steady {
		most = max(most, math.Abs(m.of(&steady[i].Faulted)-m.of(&steady[i].Control)))
	}
	return most
}

func ofPhase(all []Pair, phase Phase) (out []Pair) {
	for i := range all {
		if all[i].Phase == phase {
			out = append(out, all[i])
		}
	}
	return out
}

func medianOf(all []Pair, value func(*Pair) float64) float64 {
	list := make([]float64, len(all))
	for i := range all {
		list[i] = value(&all[i])
	}
	return median(list)
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[len(list)/2]
}

// settledAfter is how many windows in a row must be within the A/A spread, and what is tolerated, before the lane counts as recovered.
const settledAfter = 3

// Recovered is when, in seconds after the first window of the recovery, the faulted lane was as the control lane
// again by all measures, and stayed so for settledAfter windows. ok is false when that was not seen.
func Recovered(all []Pair, t *Tolerate, width float64) (after float64, ok bool) {
	steady, rest := ofPhase(all, Steady), ofPhase(all, Recovery)
	for i := range rest {
		if i+settledAfter > len(rest) {
			break
		}
		within := true
		for _, m := range Measures {
			limit := spread(steady, m) + t.allowed(m)
			for k := i; k < i+settledAfter; k++ {
				within = within && m.of(&rest[k].Faulted)-m.of(&rest[k].Control) <= limit
			}
		}
		if within {
			return float64(i) * width, true
		}
	}
	return 0, false
}
