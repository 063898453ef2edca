package replayer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// A book holds the results of one loop; only its events touch it, except for the live counters and what it
// has handed over.
type book struct {
	lane  traffic.Color
	cells map[cellKey]*Cell
	last  []*Cell // by route: the one used last, and most likely next

	pace       hdr.Hist
	sent       uint64
	lastSent   time.Duration
	mismatches map[mismatchKey]uint64
	compared   uint64
	passed     uint64
	dropped    traffic.Ledger

	connections, reconnects, idleClosed, retried, unsolicited, waited, pipelined, spawned uint64

	stream Stream // nil: nobody asked for single requests
	page   *Batch // of it, being filled
	routes *routes
	start  time.Time // of the run; set before the first request

	live *live

	out struct {
		sync.Mutex
		cells []map[cellKey]*Cell // for the keeper
	}
}

// live counts what a loop has done so far, for those who watch. It outlives the books of a Part.
type live struct{ sent, answered, failed, over atomic.Uint64 }

type cellKey struct {
	second, status int
	route          uint16
}

type mismatchKey struct{ recorded, replayed int }

func newBook(lane traffic.Color, r *routes) *book {
	return &book{
		lane: lane, routes: r, cells: make(map[cellKey]*Cell), mismatches: make(map[mismatchKey]uint64), lastSent: unsent, live: new(live),
	}
}

// next is a book to go on with, when b has been taken away.
func (b *book) next() *book {
	n := newBook(b.lane, b.routes)
	n.live, n.start, n.stream, n.page = b.live, b.start, b.stream, b.page
	b.page = nil
	return n
}

// cell is where requests due at this time and of this route that ended with this status are counted.
func (b *book) cell(it *item, status int) *Cell {
	second := int(it.due / time.Second)
	if int(it.route) < len(b.last) {
		if c := b.last[it.route]; c != nil && c.Second == second && c.Status == status {
			return c
		}
	}
	return b.cellSlow(cellKey{second, status, it.route})
}

func (b *book) cellSlow(key cellKey) *Cell {
	c := b.cells[key]
	if c == nil {
		c = &Cell{Second: key.second, Lane: b.lane, Status: key.status}
		b.cells[key] = c
	}
	for int(key.route) >= len(b.last) {
		b.last = append(b.last, nil)
	}
	b.last[key.route] = c
	return c
}

// handOver leaves the cells for the keeper and begins new ones. Single requests go to their stream.
func (b *book) handOver() {
	b.flush()
	if len(b.cells) == 0 {
		return
	}
	clear(b.last)
	b.out.Lock()
	defer b.out.Unlock()
	b.out.cells = append(b.out.cells, b.cells)
	b.cells = make(map[cellKey]*Cell)
}

// handed takes what was handed over. For the keeper.
func (b *book) handed() []map[cellKey]*Cell {
	b.out.Lock()
	defer b.out.Unlock()
	taken := b.out.cells
	b.out.cells = nil
	return taken
}

// send notes that it is on its way for the first time.
func (b *book) send(it *item) {
	b.pace.Record(it.sent - it.ready)
	b.lastSent = max(b.lastSent, it.sent)
	b.sent++
	b.live.sent.Add(1)
}

// answer enters a whole response.
func (b *book) answer(it *item, status int, now time.Duration) {
	c := b.cell(it, status)
	if status >= 500 {
		c.Errors.Status5xx++
		b.live.failed.Add(1)
	}
	b.live.answered.Add(1)
	b.live.over.Add(1)
	b.times(c, it, now)
	if b.page != nil {
		b.record(it, status, "", now)
	}
	b.passed++
	if it.status != 0 {
		b.compared++
		if it.status != status {
			b.mismatches[mismatchKey{it.status, status}]++
		}
	}
}

// fail enters a request that got no whole response.
func (b *book) fail(it *item, reason string, now time.Duration) {
	b.dropped.Drop(reason, 1)
	b.live.over.Add(1)
	if reason == DropInterrupted || reason == dropOverload || reason == dropLaneLost {
		return // nothing went wrong at the target: it was not asked
	}
	c := b.cell(it, 0)
	switch reason {
	case dropConnect:
		c.Errors.Connect++
	case dropReset:
		c.Errors.Reset++
	case dropProtocol:
		c.Errors.Protocol++
	default: // timeout, unsent, unanswered: it was waited for long enough
		c.Errors.Timeout++
	}
	b.live.failed.Add(1)
	b.times(c, it, now)
	if b.page != nil {
		b.record(it, 0, reason, now)
	}
}

func (b *book) times(c *Cell, it *item, now time.Duration) {
	c.Count++
	c.Due.Record(now - it.due)
	if it.sent != unsent {
		c.Sent.Record(now - it.sent)
		c.Lag.Record(it.sent - it.due)
	}
}

// addTo merges all but the cells into r, and into the mismatches that will become r's.
func (b *book) addTo(r *Result, mismatches map[mismatchKey]uint64) {
	for pair, n := range b.mismatches {
		mismatches[pair] += n
		r.Mismatched += n
	}
	r.Pace.Merge(&b.pace)
	r.Sent += b.sent
	r.LastSent = max(r.LastSent, b.lastSent)
	r.Compared += b.compared
	r.Ledger.Passed += b.passed
	for reason, n := range b.dropped.Dropped {
		r.Ledger.Drop(reason, n)
	}
	r.Connections += b.connections
	r.Reconnects += b.reconnects
	r.IdleClosed += b.idleClosed
	r.Retried += b.retried
	r.Unsolicited += b.unsolicited
	r.Waited += b.waited
	r.Pipelined += b.pipelined
	r.Spawned += b.spawned
}
