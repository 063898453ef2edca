package main

import (
	"fmt"

	"github.com/redlane/redlane/bench/internal/lab"
)

// asked is what is to be reached, as a ratio to HAProxy by number of connections.
var asked = map[string]map[int]float64{
	"bare":   {1: 1.00, 64: 0.68, 512: 0.50},
	"full":   {1: 1.05, 64: 0.75, 512: 0.55},
	"record": {1: 1.15, 64: 0.95, 512: 0.75},
}

// goalOf is the ratio asked for, or no goal.
func goalOf(ratio float64) lab.Goal {
	if ratio == 0 {
		return lab.Goal{}
	}
	return lab.AtMost(ratio)
}

// reportLevel prints and keeps what a number of connections gave.
func (b *bench) reportLevel(r *lab.Report, c lab.Comparison) {
	title := fmt.Sprintf("%d connections, the proxy alone on its core", c.Conns)
	r.Table(title, c, haproxy.Name)
	for _, name := range []string{"bare", "full", "record"} {
		r.Figure(fmt.Sprintf("ratio_haproxy_%s_c%d", name, c.Conns), c.Ratio(name, haproxy.Name), goalOf(asked[name][c.Conns]))
	}
	if c.Conns != 64 {
		return
	}
	r.Figure("ratio_nginx_full_c64", c.Ratio(lab.Full.Name, nginx.Name), lab.Goal{})
	if c.Samples[sockmap.Name] != nil {
		r.Figure("ratio_haproxy_sockmap_c64", c.Ratio(sockmap.Name, haproxy.Name), lab.AtMost(0.45))
	}
	b.reportTap(r, c)
}

// reportTap prints what recording adds to a request, where the request pays for it: the thread of the loop. The
// threads that compress and write the tape are in the figure of the whole process. The goroutine engine has
// no threads of its own, so that there only the whole process says anything.
func (b *bench) reportTap(r *lab.Report, c lab.Comparison) {
	loop := c.Pairs(lab.Record.Name, lab.Full.Name, func(a, b lab.Sample) float64 { return a.Each(a.Busiest) - b.Each(b.Busiest) })
	whole := c.Pairs(lab.Record.Name, lab.Full.Name, func(a, b lab.Sample) float64 { return a.PerRequest() - b.PerRequest() })
	r.Note("recording adds, in us per request: %s in the busiest thread, %s in the whole process", loop, whole)
	if b.Driver == "goroutine" {
		loop = whole
	}
	r.Figure("tap_us", loop, lab.AtMost(1.5))
}
