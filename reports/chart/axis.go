package chart

import "math"

// A scale maps values to places along one side of a figure.
type scale struct {
	min, max float64 // values; min > 0 when log
	from, to float64 // places of min and max
	log      bool
}

// at is the place of v, held within the scale.
func (s *scale) at(v float64) float64 {
	lo, hi := s.min, s.max
	if s.log {
		v, lo, hi = math.Log10(max(v, s.min)), math.Log10(lo), math.Log10(hi)
	}
	if hi == lo {
		return s.from
	}
	t := min(max((v-lo)/(hi-lo), 0), 1)
	return s.from + t*(s.to-s.from)
}

// step is the smallest of 1, 2, 5 times a power of ten that divides span into at most n parts.
func step(span float64, n int) float64 {
	if !(span > 0) || math.IsInf(span, 0) || n < 1 {
		return 1
	}
	raw := span / float64(n)
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range [...]float64{1, 2, 5} {
		if m*p >= raw*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// linear returns ticks from 0 to the first tick at or above top, at most n steps of equal length.
func linear(top float64, n int) []float64 {
	if !(top > 0) || math.IsInf(top, 0) {
		top = 1
	}
	d := step(top, n)
	var ticks []float64
	for i := 0; i <= n+1; i++ {
		v := d * float64(i)
		ticks = append(ticks, v)
		if v >= top*(1-1e-9) {
			break
		}
	}
	return ticks
}

// decades returns ticks on a log axis that covers lo to hi: powers of ten, with 2 and 5 between them where
// there are few. lo and hi must be above 0.
func decades(lo, hi float64, n int) []float64 {
	first, last := math.Floor(math.Log10(lo)+1e-9), math.Ceil(math.Log10(hi)-1e-9)
	if last <= first {
		last = first + 1
	}
	between := []float64{1}
	if 3*(last-first) <= float64(n) {
		between = []float64{1, 2, 5}
	}
	every := math.Ceil((last - first) / float64(max(n, 1)))
	var ticks []float64
	for e := first; e <= last; e += max(every, 1) {
		for _, m := range between {
			ticks = append(ticks, m*math.Pow(10, e))
		}
	}
	// A log axis may begin and end between powers of ten: cut what the data does not need.
	for len(ticks) > 2 && ticks[1] <= lo {
		ticks = ticks[1:]
	}
	for len(ticks) > 2 && ticks[len(ticks)-2] >= hi {
		ticks = ticks[:len(ticks)-1]
	}
	return ticks
}

// moments returns ticks on a time axis in seconds: round times of day, at most n steps.
func moments(from, to float64, n int) (ticks []float64, d float64) {
	if !(to > from) || math.IsInf(to-from, 0) {
		return []float64{from}, 1
	}
	d = step(to-from, n)
	if to-from > float64(n) { // whole seconds: a clock counts in sixties
		for _, d = range [...]float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400} {
			if (to-from)/d <= float64(n) {
				break
			}
		}
		if (to-from)/d > float64(n) {
			d = 86400 * step((to-from)/86400, n)
		}
	}
	for i := math.Ceil(from/d - 1e-9); i*d <= to+d*1e-9 && len(ticks) <= n+1; i++ {
		ticks = append(ticks, i*d+0) // never -0
	}
	return ticks, d
}
