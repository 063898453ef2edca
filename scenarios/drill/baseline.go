package drill

// A BaselineChange is what a drill did to the traffic that nobody wanted to touch: the median of the windows under the
// fault against that of the windows before it. The spread is that between the windows before it: what the baseline
// does by itself.
type BaselineChange struct {
	Measure    Measure `json:"measure"`
	Unit       string  `json:"unit"` // share or ms
	Without    float64 `json:"without"`
	During     float64 `json:"during"`
	Difference float64 `json:"difference"` // either way
	Spread     float64 `json:"aa_spread"`
	Tolerated  float64 `json:"tolerated"`
	OK         bool    `json:"ok"` // no larger than spread and tolerated together
}

// judgeBaseline compares the baseline under the fault with itself before it. It returns nothing where it had no
// traffic, or too few windows.
func judgeBaseline(samples []*sample, s *spans, t *Tolerate) (out []BaselineChange) {
	var steady, fault []Reading
	for i := 1; i < len(samples); i++ {
		r := samples[i].between(samples[i-1], "baseline")
		if r.Count == 0 {
			continue
		}
		switch s.phase(samples[i-1].at, samples[i].at) {
		case Steady:
			steady = append(steady, r)
		case Fault:
			fault = append(fault, r)
		}
	}
	if len(steady) < leastWindows || len(fault) < leastWindows {
		return nil
	}
	for _, m := range []Measure{ErrorRate, P99} {
		before, during := valuesOf(steady, m), valuesOf(fault, m)
		c := BaselineChange{Measure: m, Unit: "ms", Without: median(before), During: median(during), Tolerated: ms(t.BaselineP99)}
		if m == ErrorRate {
			c.Unit, c.Tolerated = "share", float64(t.BaselineErrors)
		}
		c.Spread = before[len(before)-1] - before[0] // median has sorted them
		c.Difference = max(c.During-c.Without, c.Without-c.During)
		c.OK = c.Difference <= c.Spread+c.Tolerated
		out = append(out, c)
	}
	return out
}

func valuesOf(all []Reading, m Measure) []float64 {
	out := make([]float64, len(all))
	for i := range all {
		out[i] = m.of(&all[i])
	}
	return out
}
