package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"text/tabwriter"
	"time"
)

// A report prints what was measured as it comes, and keeps it.
type report struct {
	b       *bench
	w       io.Writer // standard output and text
	text    bytes.Buffer
	figures []figure
}

// A figure is one key of the result.
type figure struct {
	key             string
	measured, asked float64 // asked 0: nothing was
	dirty           bool    // from dirty samples only
}

func newReport(b *bench) *report {
	r := &report{b: b}
	r.w = io.MultiWriter(os.Stdout, &r.text)
	fmt.Fprintf(r.w, "redlane (engine %s), HAProxy %s, nginx %s, wrk %s, %s\n", b.driver, version("haproxy", "-v"), version(b.nginx, "-v"), version("wrk", "-v"), runtime.Version())
	fmt.Fprintf(r.w, "%s; %s: %d rounds of %s at each level, after %s of warming up\n", machineName(), b.name, b.rounds, b.plan.load, b.warm)
	return r
}

// table prints a comparison: the middle of the clean rounds. The ratio is to HAProxy, or to the first where
// it does not take part.
func (r *report) table(title string, c comparison) {
	fmt.Fprintf(r.w, "\n%s\n", title)
	first := haproxy.name
	if c.samples[first] == nil {
		first = c.names[0]
	}
	t := tabwriter.NewWriter(r.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tCPU us/request\tuser\tsystem\tto %s [least..most]\trequests/s\tp50 us\tp99 us\tadded p50\tadded p99\tRSS MiB\tclean\t\n", first)
	for _, name := range c.names {
		of := func(f func(sample) float64) float64 { return c.each(name, f).median }
		us := func(f func(load) time.Duration) float64 {
			return of(func(s sample) float64 { return float64(f(s.load).Nanoseconds()) / 1e3 })
		}
		p50, p99 := us(func(l load) time.Duration { return l.p50 }), us(func(l load) time.Duration { return l.p99 })
		added50, added99 := r.added(c, name)
		cpu := [4]string{"-", "-", "-", "-"}
		if name != direct.name {
			ratio := c.ratio(name, first)
			cpu = [4]string{
				fmt.Sprintf("%.2f", of(sample.perRequest)), fmt.Sprintf("%.2f", of(func(s sample) float64 { return s.each(s.user) })),
				fmt.Sprintf("%.2f", of(func(s sample) float64 { return s.each(s.system) })), ratio.String(),
			}
		}
		clean := c.each(name, sample.perRequest)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%.1f\t%d/%d\t\n", name, cpu[0], cpu[1], cpu[2], cpu[3],
			of(func(s sample) float64 { return s.perSecond() }), p50, p99, added50, added99, of(func(s sample) float64 { return float64(s.rss) / (1 << 20) }), clean.clean, clean.all)
	}
	_ = t.Flush() // to standard output and memory
	for _, name := range c.names {
		var lost, of int64
		for _, s := range c.samples[name] {
			lost += s.dropped
			of += s.requests
		}
		if lost > 0 {
			r.note("%s: dropped %d of %d exchanges", name, lost, of)
		}
	}
}

// added is the latency of name beyond that without a proxy, where that was measured.
func (r *report) added(c comparison, name string) (p50, p99 string) {
	if c.samples[direct.name] == nil {
		return "-", "-"
	}
	diff := func(f func(sample) time.Duration) string {
		s := c.pairs(name, direct.name, func(a, b sample) float64 { return float64((f(a) - f(b)).Nanoseconds()) / 1e3 })
		return fmt.Sprintf("%+.0f", s.median)
	}
	return diff(func(s sample) time.Duration { return s.p50 }), diff(func(s sample) time.Duration { return s.p99 })
}

func (r *report) note(format string, args ...any) { fmt.Fprintf(r.w, format+"\n", args...) }

// figure keeps a key of the result.
func (r *report) figure(key string, s spread, asked float64) {
	r.figures = append(r.figures, figure{key, round(s.median), asked, s.clean == 0})
}

// single prints and keeps what is measured once.
func (r *report) single(key string, v, asked float64, format string, args ...any) {
	fmt.Fprintf(r.w, "\n"+format+"\n", args...)
	r.figures = append(r.figures, figure{key, round(v), asked, false})
}

// round keeps three digits after the point: more would be noise.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
