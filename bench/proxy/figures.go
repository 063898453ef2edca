package main

import "fmt"

// asked is what is to be reached, as a ratio to HAProxy by number of connections.
var asked = map[string]map[int]float64{
	"bare":   {1: 1.00, 64: 0.68, 512: 0.50},
	"full":   {1: 1.05, 64: 0.75, 512: 0.55},
	"record": {1: 1.15, 64: 0.95, 512: 0.75},
}

// level prints and keeps what a number of connections gave.
func (r *report) level(c comparison) {
	title := fmt.Sprintf("%d connections, the proxy alone on its core", c.conns)
	r.table(title, c)
	for _, name := range []string{"bare", "full", "record"} {
		r.figure(fmt.Sprintf("ratio_haproxy_%s_c%d", name, c.conns), c.ratio(name, haproxy.name), asked[name][c.conns])
	}
	if c.conns != 64 {
		return
	}
	r.figure("ratio_nginx_full_c64", c.ratio(full.name, nginx.name), 0)
	if c.samples[sockmap.name] != nil {
		r.figure("ratio_haproxy_sockmap_c64", c.ratio(sockmap.name, haproxy.name), 0.45)
	}
	r.tap(c)
}

// tap prints what recording adds to a request, where the request pays for it: the thread of the loop. The
// threads that compress and write the tape are in the figure of the whole process. The goroutine engine has
// no threads of its own, so that there only the whole process says anything.
func (r *report) tap(c comparison) {
	loop := c.pairs(record.name, full.name, func(a, b sample) float64 { return a.each(a.busiest) - b.each(b.busiest) })
	whole := c.pairs(record.name, full.name, func(a, b sample) float64 { return a.perRequest() - b.perRequest() })
	r.note("recording adds, in us per request: %s in the busiest thread, %s in the whole process", loop, whole)
	if r.b.driver == "goroutine" {
		loop = whole
	}
	r.figure("tap_us", loop, 1.5)
}
