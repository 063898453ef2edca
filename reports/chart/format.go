package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// nb is the no-break space between a number and its unit.
const nb = "\u00a0"

// Count is n with a comma between thousands: 1,234,567.
func Count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	if len(s) <= 3 {
		return s
	}
	var b strings.Builder
	head := len(s) % 3
	b.WriteString(s[:head])
	for i := head; i < len(s); i += 3 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s[i : i+3])
	}
	return b.String()
}

// Latency is d to three digits in the unit that suits it: 850 ns, 12.3 µs, 1.24 ms, 62.0 ms, 1.50 s.
func Latency(d time.Duration) string {
	if d < 0 {
		if d == math.MinInt64 {
			d++
		}
		return "−" + Latency(-d)
	}
	if d < time.Microsecond {
		return strconv.Itoa(int(d)) + nb + "ns"
	}
	units := [...]struct {
		size time.Duration
		name string
	}{{time.Microsecond, "µs"}, {time.Millisecond, "ms"}, {time.Second, "s"}}
	for i, u := range units {
		s := digits(float64(d) / float64(u.size))
		if s != "1000" || i == len(units)-1 {
			if i == len(units)-1 || d < units[i+1].size {
				return s + nb + u.name
			}
		}
	}
	panic("BUG: no unit for a latency")
}

// digits is v to three digits, never fewer than the whole part needs.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// Span is how long something took, for people: 850 ms, 59.7 s, 2 min 5 s, 1 h 2 min.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "−" + Span(max(-d, 0))
	case d == 0:
		return "0" + nb + "s"
	case d < time.Second:
		return strconv.FormatInt(max(d.Round(time.Millisecond).Milliseconds(), 1), 10) + nb + "ms"
	case d < time.Minute:
		return trimZeros(strconv.FormatFloat(d.Seconds(), 'f', 1, 64)) + nb + "s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return two(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	}
	d = d.Round(time.Minute)
	return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
}

func two(a int, unitA string, b int, unitB string) string {
	s := strconv.Itoa(a) + nb + unitA
	if b != 0 {
		s += nb + strconv.Itoa(b) + nb + unitB
	}
	return s
}

// Share is part of whole as a percentage: 0%, 0.03%, 12.3%, 100%. It says 0% and 100% only when that is
// exact, and "–" of nothing.
func Share(part, whole float64) string {
	if whole == 0 || math.IsNaN(part/whole) {
		return "–"
	}
	p := 100 * part / whole
	switch {
	case p == 0:
		return "0%"
	case p > 0 && p < 0.01:
		return "<0.01%"
	case p > 99.99 && p < 100:
		return ">99.99%"
	case math.Abs(p-math.Round(p)) < 1e-9:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	case p < 1 || p > 99 && p < 100:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + "%"
}

// trimZeros drops the zeros after the decimal point that say nothing.
func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// tickLatency is v nanoseconds on an axis: 20 ms, 1.5 s.
func tickLatency(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1e3:
		return trimZeros(strconv.FormatFloat(v, 'f', 3, 64)) + nb + "ns"
	case v < 1e6:
		return trimZeros(strconv.FormatFloat(v/1e3, 'f', 3, 64)) + nb + "µs"
	case v < 1e9:
		return trimZeros(strconv.FormatFloat(v/1e6, 'f', 3, 64)) + nb + "ms"
	}
	return trimZeros(strconv.FormatFloat(v/1e9, 'f', 3, 64)) + nb + "s"
}

// tickCount is v on an axis: 500, 1.5k, 20k, 3M.
func tickCount(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if v >= u.size {
			if u.name == "k" {
				u.size = 1e3
			}
			return trimZeros(strconv.FormatFloat(v/u.size, 'f', 3, 64)) + u.name
		}
	}
	if v == math.Trunc(v) {
		return Count(uint64(max(v, 0)))
	}
	return trimZeros(strconv.FormatFloat(v, 'f', 3, 64))
}

// tickTime is a moment on a time axis whose ticks are step seconds apart: 25 s, 2:05, 1:02:05.
func tickTime(v, step, last float64) string {
	if last <= 180 || step < 1 {
		return trimZeros(strconv.FormatFloat(v, 'f', 3, 64)) + nb + "s"
	}
	s := int(math.Round(v))
	if last < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
