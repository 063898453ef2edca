package proxy

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redlane/redlane/traffic"
)

// A streamCell counts the connections of a tcp service that came in through one edge and went one way.
type streamCell struct {
	open    atomic.Int64 // carrying bytes now
	ended   atomic.Uint64
	in, out atomic.Uint64 // bytes from clients; bytes from the service
	nanos   atomic.Uint64 // how long those that have ended lasted
	flags   [outcomes]atomic.Uint64
}

// streamCell finds the cell of a connection whose way is known.
func (s *loopStats) streamCell(x *exchange) *streamCell {
	e, k := s.byEdge[x.edge.stats], keyOf(x)
	c := e.streams[k]
	if c == nil {
		c = new(streamCell)
		s.mu.Lock()
		e.streams[k] = c
		s.mu.Unlock()
	}
	return c
}

// observeStream counts a connection that is over.
func (s *loopStats) observeStream(x *exchange) {
	c := s.streamCell(x)
	if x.tally != nil {
		x.tally.open.Add(-1)
	}
	c.ended.Add(1)
	c.nanos.Add(uint64(x.Latency))
	for f := uint32(x.Flags) & (1<<outcomes - 1); f != 0; f &= f - 1 {
		c.flags[bits.TrailingZeros32(f)].Add(1)
	}
}

var (
	descStreams       = desc("tcp_connections_total", "Connections of tcp services that are over.", "service", "caller", "lane", "lane_resolved", "reason")
	descStreamsOpen   = desc("tcp_connections_open", "Connections of tcp services that carry bytes.", "service", "caller", "lane", "lane_resolved")
	descStreamBytes   = desc("tcp_bytes_total", "Bytes of tcp services: in from clients, out to them. Of spliced connections at most 5s old.", "service", "caller", "lane", "lane_resolved", "direction")
	descStreamSeconds = desc("tcp_connection_seconds", "How long connections of tcp services lasted that are over.", "service", "caller", "lane", "lane_resolved")
	descStreamFlags   = desc("tcp_flags_total", "Connections of tcp services by how they ended, in Envoy's response flags.", "service", "caller", "lane", "lane_resolved", "flag")
)

var streamDescs = []*prometheus.Desc{descStreams, descStreamsOpen, descStreamBytes, descStreamSeconds, descStreamFlags}

// A streamTotal is one set of labels over all loops.
type streamTotal struct {
	open                  int64
	ended, in, out, nanos uint64
	flags                 [outcomes]uint64
	reasons               map[traffic.LaneReason]uint64
}

// streamTotals adds the loops' cells up. Reasons are told apart by the number of connections alone.
func (p *Proxy) streamTotals() map[series]*streamTotal {
	all := make(map[series]*streamTotal)
	for _, l := range p.loops {
		l.stats.mu.Lock()
		for _, e := range l.stats.byEdge {
			if e == nil {
				continue
			}
			for k, c := range e.streams {
				at := series{e.service, e.caller, cellKey{color: k.color, lane: k.lane}}
				if all[at] == nil {
					all[at] = &streamTotal{reasons: make(map[traffic.LaneReason]uint64)}
				}
				all[at].add(k.reason, c)
			}
		}
		l.stats.mu.Unlock()
	}
	return all
}

func (t *streamTotal) add(reason traffic.LaneReason, c *streamCell) {
	t.reasons[reason] += c.ended.Load()
	t.open += c.open.Load()
	t.ended += c.ended.Load()
	t.in += c.in.Load()
	t.out += c.out.Load()
	t.nanos += c.nanos.Load()
	for i := range c.flags {
		t.flags[i] += c.flags[i].Load()
	}
}

func (t *streamTotal) collect(ch chan<- prometheus.Metric, k series) {
	labels := []string{k.service, k.caller, k.color.Name(), k.lane.Name()}
	with := func(more ...string) []string { return append(labels[:len(labels):len(labels)], more...) }
	count := func(d *prometheus.Desc, v uint64, labels []string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for reason, n := range t.reasons {
		count(descStreams, n, with(reason.String()))
	}
	ch <- prometheus.MustNewConstMetric(descStreamsOpen, prometheus.GaugeValue, float64(t.open), labels...)
	count(descStreamBytes, t.in, with("in"))
	count(descStreamBytes, t.out, with("out"))
	ch <- prometheus.MustNewConstSummary(descStreamSeconds, t.ended, float64(t.nanos)/1e9, nil, labels...)
	for i, n := range t.flags {
		if n > 0 {
			count(descStreamFlags, n, with(traffic.Flags(1<<i).String()))
		}
	}
}
