package proxy

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redlane/redlane/traffic"
)

// Collector returns the proxy's metrics for a Prometheus registry.
func (p *Proxy) Collector() prometheus.Collector { return collector{p} }

type collector struct{ p *Proxy }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("redlane_"+name, help, labels, nil)
}

// The metrics.
var (
	descLoops    = desc("loops", "Event loops of the engine, each with connections of its own.")
	descRequests = desc("requests_total", "Exchanges that are over.", "service", "caller", "lane", "lane_resolved", "reason", "code_class")
	descFlags    = desc("request_flags_total", "Exchanges by how they ended, in Envoy's response flags.", "service", "caller", "lane", "flag")
	descDuration = desc("request_duration_seconds", "From the first byte of the request to the last of the response.", "service", "caller", "lane")
	descEscapes  = desc("lane_escapes_total", "Exchanges that tried to leave their lane and were refused, or were a replay's and had lost their colour.", "service", "caller")
	descTickets  = desc("lane_challenges_total", "Questions whether a lane is here, by what was answered: issued is a ticket, refused none, limited try again.", "result")
	descActive   = desc("requests_active", "Exchanges under way.")
	descAccepted = desc("connections_accepted_total", "Connections of clients.")
	descClosed   = desc("connections_closed_total", "Connections of clients that ended without an exchange that would tell why.", "reason")
	descOpen     = desc("connections_open", "Connections of clients that are open.")
	descConnects = desc("upstream_connects_total", "Connections opened to endpoints.")
	descNoConn   = desc("upstream_connect_failures_total", "Connections to endpoints that could not be opened.")
	descIdle     = desc("upstream_idle_connections", "Connections to endpoints kept for the next exchange.")
	descRetries  = desc("upstream_retries_total", "Requests sent again because a kept connection was dead.")
	descCopies   = desc("request_copies_total", "Copies of requests that were sent beside them, because a fault asked for it.")
	descUp       = desc("endpoint_up", "0 while the endpoint rests because it could not be connected to.", "service", "lane", "endpoint")
	descGen      = desc("config_generation", "Number of the configuration in force, from 1.")
	descBadGen   = desc("config_reload_failures_total", "Configurations that were refused; the one before stayed in force.")
	descTakeover = desc("takeovers_total", "Listeners handed from one process to the next: done, 1 where this process took over; failed, those who asked this one and gave up.", "result")
	descEngine   = desc("engine_info", "1 for what moves the bytes. instead_of is the one asked for where it cannot be had.", "driver", "instead_of")
	descLogLines = desc("access_log_lines_total", "Lines of the access log by what became of them.", "result")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLoops, descRequests, descFlags, descDuration, descEscapes, descTickets, descActive, descAccepted, descClosed, descOpen, descConnects, descNoConn,
		descIdle, descRetries, descCopies, descUp, descGen, descBadGen, descTakeover, descEngine, descLogLines, descHandshakes, descShaking, descBadCerts, descExpiry,
	} {
		ch <- d
	}
	ch <- descRefused
	for _, d := range streamDescs {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	var accepted, connects, failures, retries, copies uint64
	var sessions, idle int64
	var closed [closings]uint64
	for _, l := range c.p.loops {
		s := &l.stats
		accepted += s.accepted.Load()
		connects += s.connects.Load()
		failures += s.connectFailures.Load()
		retries += s.retries.Load()
		copies += s.copies.Load()
		sessions += s.sessions.Load()
		idle += s.idle.Load()
		for i := range closed {
			closed[i] += s.closings[i].Load()
		}
	}
	gauge(descLoops, int64(len(c.p.loops)))
	count(descAccepted, accepted)
	for i, n := range closed {
		count(descClosed, n, closingNames[i])
	}
	count(descConnects, connects)
	count(descNoConn, failures)
	count(descRetries, retries)
	count(descCopies, copies)
	gauge(descOpen, sessions)
	gauge(descIdle, idle)
	gauge(descActive, c.p.Active())
	count(descTickets, c.p.tickets.issued.Load(), "issued")
	count(descTickets, c.p.tickets.refused.Load(), "refused")
	count(descTickets, c.p.tickets.limited.Load(), "limited")
	g := c.p.gen.Load()
	if g.mesh.Intercept != nil {
		c.p.collectRefused(count)
	}
	gauge(descGen, int64(g.number))
	count(descBadGen, c.p.reloadFailures.Load())
	count(descTakeover, c.p.hand.done, "done")
	count(descTakeover, c.p.hand.failed.Load(), "failed")
	gauge(descEngine, 1, c.p.engine.Name, c.p.engine.Instead)
	c.p.collectTLS(count, gauge)
	if log := c.p.log; log != nil {
		count(descLogLines, log.written.Load(), "written")
		count(descLogLines, log.dropped.Load(), "dropped")
		count(descLogLines, log.failed.Load(), "failed")
	}
	now := c.p.cfg.Clock.Now().UnixNano()
	for name := range g.services {
		for _, ep := range g.route.Table().Endpoints(name) {
			up := int64(0)
			if ep.Healthy(now) {
				up = 1
			}
			gauge(descUp, up, name, ep.Lane.Name(), ep.Addr)
		}
	}
	totals := c.p.totals()
	for k, t := range totals {
		for class, n := range t.classes {
			if n > 0 {
				count(descRequests, n, k.service, k.caller, k.color.Name(), k.lane.Name(), k.reason.String(), className(class))
			}
		}
	}
	colors := byColor(totals)
	for k, t := range c.p.streamTotals() {
		t.collect(ch, k)
		at(colors, series{service: k.service, caller: k.caller}).escapes += t.reasons[traffic.LaneEscape]
	}
	for k, t := range colors {
		for i, n := range t.flags {
			if n > 0 {
				count(descFlags, n, k.service, k.caller, k.color.Name(), traffic.Flags(1<<i).String())
			}
		}
		ch <- t.histogram(k)
		if k.color == "" {
			count(descEscapes, t.escapes, k.service, k.caller)
		}
	}
}

func className(class int) string {
	if class == 0 {
		return "none"
	}
	return strconv.Itoa(class) + "xx"
}

// A series is one set of labels over all loops.
type series struct {
	service, caller string
	cellKey
}

type total struct {
	classes [6]uint64
	flags   [outcomes]uint64
	latency [len(bounds) + 1]uint64
	sum     int64
	escapes uint64
}

// totals adds the loops' cells up.
func (p *Proxy) totals() map[series]*total {
	all := make(map[series]*total)
	for _, l := range p.loops {
		l.stats.mu.Lock()
		for _, e := range l.stats.byEdge {
			if e == nil {
				continue
			}
			k := series{service: e.service, caller: e.caller}
			at(all, k).add(&e.baseline)
			for ck, c := range e.cells {
				k.cellKey = ck
				at(all, k).add(c)
			}
		}
		l.stats.mu.Unlock()
	}
	return all
}

func at(all map[series]*total, k series) *total {
	t := all[k]
	if t == nil {
		t = new(total)
		all[k] = t
	}
	return t
}

func (t *total) add(c *cell) {
	for i := range c.classes {
		t.classes[i] += c.classes[i].Load()
	}
	for i := range c.flags {
		t.flags[i] += c.flags[i].Load()
	}
	for i := range c.latency.counts {
		t.latency[i] += c.latency.counts[i].Load()
	}
	t.sum += c.latency.sum.Load()
}

// byColor merges what differs only in where the lane rules sent it: those are told apart by requests_total.
// Escapes are counted with the uncoloured, which every edge has.
func byColor(totals map[series]*total) map[series]*total {
	all := make(map[series]*total)
	for k, t := range totals {
		if k.reason == traffic.LaneChallenge { // nobody's traffic
			continue
		}
		coarse := series{service: k.service, caller: k.caller}
		if k.reason.Escaped() {
			for _, n := range t.classes {
				at(all, coarse).escapes += n
			}
		}
		coarse.color = k.color
		at(all, coarse).merge(t)
	}
	return all
}

func (t *total) merge(other *total) {
	for i, n := range other.classes {
		t.classes[i] += n
	}
	for i, n := range other.flags {
		t.flags[i] += n
	}
	for i, n := range other.latency {
		t.latency[i] += n
	}
	t.sum += other.sum
}

func (t *total) histogram(k series) prometheus.Metric {
	buckets := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, b := range bounds {
		n += t.latency[i]
		buckets[b.Seconds()] = n
	}
	n += t.latency[len(bounds)]
	return prometheus.MustNewConstHistogram(descDuration, n, float64(t.sum)/1e9, buckets, k.service, k.caller, k.color.Name())
}
