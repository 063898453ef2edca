package proxy

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/traffic"
)

// loopStats are the counters of one loop. Only the loop writes them, so that counting never waits for
// another core; the collector reads them at any time and adds the loops up.
type loopStats struct {
	accepted, connects, connectFailures, retries atomic.Uint64
	copies                                       atomic.Uint64
	sessions, idle                               atomic.Int64
	closings                                     closingCounts
	refused                                      refusals

	byEdge []*edgeStats // by edge.stats

	mu sync.Mutex // held to add an edge or a cell, and to read the lists of them
}

// edgeStats is what came in through one edge: almost all of it is uncoloured, and that cell is at hand.
type edgeStats struct {
	service, caller string
	baseline        cell
	cells           map[cellKey]*cell
	streams         map[cellKey]*streamCell
}

// A cellKey tells apart what is counted apart. All colours that name no lane share one, or any client
// could make the list as long as it likes.
type cellKey struct {
	color, lane traffic.Color
	reason      traffic.LaneReason
}

// A cell counts exchanges.
type cell struct {
	classes [6]atomic.Uint64 // by the first digit of the status; 0 is no answer
	flags   [outcomes]atomic.Uint64
	latency histogram
}

// outcomes is how many flags, from the lowest, say how an exchange ended.
const outcomes = 16

// edge makes room for e's counters.
func (s *loopStats) edge(e *edge) {
	if e.stats < len(s.byEdge) && s.byEdge[e.stats] != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for e.stats >= len(s.byEdge) {
		s.byEdge = append(s.byEdge, nil)
	}
	s.byEdge[e.stats] = &edgeStats{service: e.service.name, caller: e.caller, cells: make(map[cellKey]*cell), streams: make(map[cellKey]*streamCell)}
}

// observe counts an exchange that is over.
func (s *loopStats) observe(x *exchange) {
	if x.stream {
		s.observeStream(x)
		return
	}
	c := s.cell(x)
	class := x.Response.Status / 100
	if class > 5 {
		class = 0
	}
	c.classes[class].Add(1)
	for f := uint32(x.Flags) & (1<<outcomes - 1); f != 0; f &= f - 1 {
		c.flags[bits.TrailingZeros32(f)].Add(1)
	}
	c.latency.add(x.Latency)
}

func (s *loopStats) cell(x *exchange) *cell {
	e := s.byEdge[x.edge.stats]
	if x.LaneReason == traffic.LaneBaseline && x.Color == "" {
		return &e.baseline
	}
	k := keyOf(x)
	c := e.cells[k]
	if c == nil {
		c = new(cell)
		s.mu.Lock()
		e.cells[k] = c
		s.mu.Unlock()
	}
	return c
}

func keyOf(x *exchange) cellKey {
	if x.LaneReason == traffic.LaneUnknown {
		return cellKey{unknownColor, x.Lane, x.LaneReason}
	}
	return cellKey{x.Color, x.Lane, x.LaneReason}
}

const unknownColor traffic.Color = "?"

// bounds are the upper ends of the latency buckets: two or three a decade, from what the proxy itself
// costs to what people give up at.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}
