package scenarios

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/traffic"
)

// An observer is a filter that keeps what callers saw: for each second, edge and lane the number of
// exchanges, the errors and the latencies. It stands outside lanes and faults.
//
// Only the current second is kept as histograms; a closed one is summed up, and merged into the
// histogram of its edge and into those of the fault windows that cover the whole of it.
//
//	loops ─► shard, shard, shard ─ a second is over ─► closed, total, during
type observer struct {
	clock  clock.Clock
	shards [numShards]shard

	mu struct { // locked before a shard's
		sync.Mutex
		start  time.Time                 // of second 0
		second int                       // the current one
		closed map[edge][]reports.Second // in order
		total  map[edge]*cell
		during map[string]map[edge]*cell // by window
		// windows that are open, and since when
		windows map[string]time.Duration
	}
}

// numShards is a power of two. A proxy gives its loops' sessions successive upper 16 bits, so that up to
// this many loops never wait for each other.
const numShards = 16

// A shard is the current second of the loops whose sessions fall on it.
type shard struct {
	mu struct {
		sync.Mutex
		start  int64 // of second 0, Unix nanoseconds
		second int
		open   map[edge]*cell
	}
	_ [64]byte // the next shard is another core's
}

// An edge is who called whom under which colour.
type edge struct {
	caller, service string
	lane            traffic.Color
}

type cell struct {
	count, errors uint64
	latency       hdr.Hist
}

func (c *cell) add(o *cell) {
	c.count += o.count
	c.errors += o.errors
	c.latency.Merge(&o.latency)
}

func newObserver(c clock.Clock, start time.Time) *observer {
	o := &observer{clock: c}
	for i := range o.shards {
		o.shards[i].mu.open = make(map[edge]*cell)
	}
	o.begin(start)
	o.mu.closed = make(map[edge][]reports.Second)
	o.mu.total = make(map[edge]*cell)
	o.mu.during = make(map[string]map[edge]*cell)
	o.mu.windows = make(map[string]time.Duration)
	return o
}

// restart makes start the zero of the seconds and forgets what came before.
func (o *observer) restart(start time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begin(start)
	clear(o.mu.closed)
	clear(o.mu.total)
}

// begin makes start the zero of the seconds.
func (o *observer) begin(start time.Time) {
	o.mu.start, o.mu.second = start, 0
	for i := range o.shards {
		s := &o.shards[i]
		s.mu.Lock()
		s.mu.start, s.mu.second = start.UnixNano(), 0
		clear(s.mu.open)
		s.mu.Unlock()
	}
}

// Request implements traffic.Filter.
func (o *observer) Request(*traffic.Exchange) traffic.Action { return traffic.Action{} }

// Response implements traffic.Filter. The exchange counts in the second in which it ended.
func (o *observer) Response(x *traffic.Exchange) {
	for s := &o.shards[x.Session>>48%numShards]; ; {
		over, second := s.count(x)
		if !over {
			return
		}
		o.mu.Lock()
		o.advance(second)
		o.mu.Unlock()
	}
}

// count takes x in, unless it ended in a later second than the current one: that has to be closed first.
func (s *shard) count(x *traffic.Exchange) (over bool, second int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	second = int((time.Duration(x.Start-s.mu.start) + x.Latency) / time.Second)
	if second > s.mu.second {
		return true, second
	}
	e := edge{x.Src, x.Dst, x.Color}
	c := s.mu.open[e]
	if c == nil {
		c = new(cell)
		s.mu.open[e] = c
	}
	c.count++
	if x.Failed() {
		c.errors++
	}
	c.latency.Record(x.Latency)
	return false, second
}

// advance closes all seconds before second.
func (o *observer) advance(second int) {
	if second <= o.mu.second {
		return
	}
	from := time.Duration(o.mu.second) * time.Second
	for e, c := range o.takeOpen(second) {
		o.mu.closed[e] = append(o.mu.closed[e], reports.Second{
			Second: o.mu.second, Count: c.count, Errors: c.errors, Latency: latencyOf(&c.latency),
		})
		addTo(o.mu.total, e, c)
		for name, since := range o.mu.windows {
			if since <= from {
				addTo(o.mu.during[name], e, c)
			}
		}
	}
	o.mu.second = second
}

// takeOpen adds up what the shards have of the current second, and begins the next in each.
func (o *observer) takeOpen(next int) map[edge]*cell {
	open := make(map[edge]*cell)
	for i := range o.shards {
		s := &o.shards[i]
		s.mu.Lock()
		for e, c := range s.mu.open {
			addTo(open, e, c)
		}
		clear(s.mu.open)
		s.mu.second = next
		s.mu.Unlock()
	}
	return open
}

func addTo(cells map[edge]*cell, e edge, c *cell) {
	if cells[e] == nil {
		cells[e] = new(cell)
	}
	cells[e].add(c)
}

// open starts a window in which measures can be taken separately; close ends it.
func (o *observer) openWindow(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now().Sub(o.mu.start)
	o.advance(int(now / time.Second))
	o.mu.windows[name] = now
	if o.mu.during[name] == nil {
		o.mu.during[name] = make(map[edge]*cell)
	}
}

func (o *observer) closeWindow(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(int(o.clock.Now().Sub(o.mu.start) / time.Second))
	delete(o.mu.windows, name)
}

// finish closes the last second.
func (o *observer) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(o.mu.second + 1)
}

// measure sums up what sel asks for. Call after finish.
func (o *observer) measure(sel Select) *cell {
	o.mu.Lock()
	defer o.mu.Unlock()
	cells := o.mu.total
	if sel.During != "" {
		cells = o.mu.during[sel.During]
	}
	sum := new(cell)
	for e, c := range cells {
		if sel.covers(e) {
			sum.add(c)
		}
	}
	return sum
}

// covers reports whether traffic over e is asked for. Without a service that is the edge of the mesh.
func (s *Select) covers(e edge) bool {
	if s.Lane != nil && *s.Lane != e.lane {
		return false
	}
	if s.Service == "" {
		return e.caller == ""
	}
	return s.Service == e.service && (s.Caller == "" || s.Caller == e.caller)
}

// series is all that was seen, the busiest edge of the mesh first. Call after finish.
func (o *observer) series() []reports.Series {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []reports.Series
	for e, c := range o.mu.total {
		all = append(all, reports.Series{
			Service: e.service, Caller: e.caller, Lane: string(e.lane),
			Count: c.count, Errors: c.errors, Latency: latencyOf(&c.latency), Seconds: o.mu.closed[e],
		})
	}
	slices.SortFunc(all, func(a, b reports.Series) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Lane, b.Lane))
	})
	return all
}

// tick closes seconds in which nothing came, so that windows stay exact. It returns when ctx ends.
func (o *observer) tick(ctx context.Context) {
	for o.clock.SleepUntil(ctx, o.clock.Now().Add(time.Second/4)) == nil {
		o.mu.Lock()
		o.advance(int(o.clock.Now().Sub(o.mu.start) / time.Second))
		o.mu.Unlock()
	}
}

func latencyOf(h *hdr.Hist) reports.Latency {
	return reports.Latency{P50: h.Quantile(0.5), P95: h.Quantile(0.95), P99: h.Quantile(0.99), Max: h.Max()}
}
