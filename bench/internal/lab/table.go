package lab

import (
	"fmt"
	"text/tabwriter"
	"time"
)

// Table prints a comparison: the middle of the clean rounds. The ratio is to the one named, or to the
// first where that does not take part.
func (r *Report) Table(title string, c Comparison, to string) {
	fmt.Fprintf(r.w, "\n%s\n", title)
	first := to
	if c.Samples[first] == nil {
		first = c.names[0]
	}
	t := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tCPU us/request\tuser\tsystem\tto %s [least..most]\trequests/s\tp50 us\tp99 us\tadded p50\tadded p99\tRSS MiB\tclean\t\n", first)
	for _, name := range c.names {
		of := func(f func(Sample) float64) float64 { return c.Each(name, f).Median }
		us := func(f func(load) time.Duration) float64 {
			return of(func(s Sample) float64 { return float64(f(s.load).Nanoseconds()) / 1e3 })
		}
		p50, p99 := us(func(l load) time.Duration { return l.P50 }), us(func(l load) time.Duration { return l.P99 })
		added50, added99 := r.added(c, name)
		cpu := [4]string{"-", "-", "-", "-"}
		if name != "direct" {
			ratio := c.Ratio(name, first)
			cpu = [4]string{
				fmt.Sprintf("%.2f", of(Sample.PerRequest)), fmt.Sprintf("%.2f", of(func(s Sample) float64 { return s.Each(s.user) })),
				fmt.Sprintf("%.2f", of(func(s Sample) float64 { return s.Each(s.system) })), ratio.String(),
			}
		}
		clean := c.Each(name, Sample.PerRequest)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%.1f\t%d/%d\t\n", name, cpu[0], cpu[1], cpu[2], cpu[3],
			of(func(s Sample) float64 { return s.PerSecond() }), p50, p99, added50, added99, of(func(s Sample) float64 { return float64(s.rss) / (1 << 20) }), clean.Clean, clean.all)
	}
	_ = t.Flush() // to standard output and memory
	for _, name := range c.names {
		var lost, of int64
		for _, s := range c.Samples[name] {
			lost += s.dropped
			of += s.Requests
		}
		if lost > 0 {
			r.Note("%s: dropped %d of %d exchanges", name, lost, of)
		}
	}
}

// added is the latency of name beyond that without a proxy, where that was measured.
func (r *Report) added(c Comparison, name string) (p50, p99 string) {
	if c.Samples["direct"] == nil {
		return "-", "-"
	}
	diff := func(f func(Sample) time.Duration) string {
		s := c.Pairs(name, "direct", func(a, b Sample) float64 { return float64((f(a) - f(b)).Nanoseconds()) / 1e3 })
		return fmt.Sprintf("%+.0f", s.Median)
	}
	return diff(func(s Sample) time.Duration { return s.P50 }), diff(func(s Sample) time.Duration { return s.P99 })
}
