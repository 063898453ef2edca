package replayer

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// A book holds the results of one loop; only its events touch it, except for the live counters.
type book struct {
	lane  traffic.Color
	cells map[cellKey]*Cell
	last  *Cell // the one used last, and most likely next

	pace       hdr.Hist
	lastSent   time.Duration
	statuses   map[int]uint64
	mismatches map[mismatchKey]uint64
	compared   uint64
	passed     uint64
	dropped    traffic.Ledger

	connections, reconnects, idleClosed, retried, unsolicited, waited, pipelined uint64

	live struct{ sent, answered, failed, over atomic.Uint64 }
}

type cellKey struct{ second, class int }

type mismatchKey struct{ recorded, replayed int }

func newBook(lane traffic.Color) *book {
	return &book{
		lane: lane, cells: make(map[cellKey]*Cell), statuses: make(map[int]uint64), mismatches: make(map[mismatchKey]uint64),
		lastSent: unsent,
	}
}

// cell is where requests due at this time that ended in this class are counted.
func (b *book) cell(due time.Duration, class int) *Cell {
	second := int(due / time.Second)
	if c := b.last; c != nil && c.Second == second && c.Class == class {
		return c
	}
	key := cellKey{second, class}
	c := b.cells[key]
	if c == nil {
		c = &Cell{Second: second, Lane: b.lane, Class: class}
		b.cells[key] = c
	}
	b.last = c
	return c
}

// send notes that it is on its way for the first time.
func (b *book) send(it *item) {
	b.pace.Record(it.sent - it.ready)
	b.lastSent = max(b.lastSent, it.sent)
	b.live.sent.Add(1)
}

// answer enters a whole response.
func (b *book) answer(it *item, status int, now time.Duration) {
	c := b.cell(it.due, status/100)
	if status >= 500 {
		c.Errors.Status5xx++
		b.live.failed.Add(1)
	}
	b.live.answered.Add(1)
	b.live.over.Add(1)
	b.times(c, it, now)
	b.passed++
	b.statuses[status]++
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
	if reason == dropInterrupted {
		return // nothing went wrong: it was not wanted any more
	}
	c := b.cell(it.due, 0)
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
}

func (b *book) times(c *Cell, it *item, now time.Duration) {
	c.Count++
	c.Due.Record(now - it.due)
	if it.sent != unsent {
		c.Sent.Record(now - it.sent)
		c.Lag.Record(it.sent - it.due)
	}
}

// addTo merges b into r, and into the cells and the mismatches that will become r's.
func (b *book) addTo(r *Result, cells map[cellKey]*Cell, mismatches map[mismatchKey]uint64) {
	for key, c := range b.cells {
		if sum := cells[key]; sum != nil {
			sum.Add(&c.Stats)
		} else {
			cells[key] = c
		}
	}
	for status, n := range b.statuses {
		r.Statuses[status] += n
	}
	for pair, n := range b.mismatches {
		mismatches[pair] += n
		r.Mismatched += n
	}
	r.Pace.Merge(&b.pace)
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
}

// collect closes the books of all loops into r.
func collect(r *Result, books []*book) {
	cells := make(map[cellKey]*Cell)
	mismatches := make(map[mismatchKey]uint64)
	r.Statuses = make(map[int]uint64)
	for _, b := range books {
		b.addTo(r, cells, mismatches)
	}
	for _, c := range cells {
		r.Total.Add(&c.Stats)
		c.Due.Compact()
		c.Sent.Compact()
		c.Lag.Compact()
		r.Cells = append(r.Cells, *c)
	}
	slices.SortFunc(r.Cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Second, b.Second), cmp.Compare(a.Class, b.Class))
	})
	for pair, n := range mismatches {
		r.Mismatches = append(r.Mismatches, Mismatch{pair.recorded, pair.replayed, n})
	}
	slices.SortFunc(r.Mismatches, func(a, b Mismatch) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Recorded, b.Recorded), cmp.Compare(a.Replayed, b.Replayed))
	})
}
