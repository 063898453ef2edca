package guard

import (
	"sync"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// slots of the window, and the one that is being filled.
const slots = int(Window/Every) + 1

// A series is what one lane saw of one service over the last Window.
//
//	Start ──► begun ─┐                                        x.Start tells the slot, at both ends, so that
//	                 ├─ begun - done: under way, by its age   an exchange is taken out where it was put in
//	end ────► done ──┘
//	   └────► ended, failed, latency, in the slot of the end
type series struct {
	lane    traffic.Color
	service string // empty: all
	since   int64  // Unix nanoseconds; exchanges that began before are not counted as under way

	mu struct {
		sync.Mutex
		ring     [slots]slot
		begun    [marks]mark
		underWay int64
	}
}

// A mark counts what began within a hundredth of a second and is under way: an exchange is called overdue that much
// late at most.
type mark struct{ number, underWay int64 }

const (
	markEvery = Every / 10
	marks     = 256 // 2.56 s: more than the window
)

type slot struct {
	number        int64 // of the slot: Unix time in units of Every
	ended, failed uint64
	latency       hdr.Hist
}

func number(nanos int64) int64 { return nanos / int64(Every) }

// newSeries is told when it is made. It counts exchanges as under way that begin two slots later or after that:
// what begins before may have passed before the series was there.
func newSeries(lane traffic.Color, service string, now int64) *series {
	return &series{lane: lane, service: service, since: (number(now) + 2) * int64(Every)}
}

func (s *series) matches(x *traffic.Exchange) bool {
	return s.lane == x.Color && (s.service == "" || s.service == x.Dst)
}

// at is the slot of a time, emptied if it was of another; nil for one that has left the window.
func (s *series) at(nanos int64) *slot {
	n := number(nanos)
	sl := &s.mu.ring[uint64(n)%uint64(slots)]
	switch {
	case sl.number > n:
		return nil
	case sl.number < n:
		*sl = slot{number: n}
	}
	return sl
}

// begin counts an exchange as under way.
func (s *series) begin(x *traffic.Exchange) { s.count(x, 1) }

// done takes an exchange out that begin has counted.
func (s *series) done(x *traffic.Exchange) { s.count(x, -1) }

func (s *series) count(x *traffic.Exchange, n int64) {
	if x.Start < s.since {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.underWay += n
	at := x.Start / int64(markEvery)
	m := &s.mu.begun[uint64(at)%marks]
	if m.number < at {
		*m = mark{number: at}
	}
	if m.number == at { // else it began longer ago than there are marks for
		m.underWay += n
	}
}

// end counts an exchange that is over, in the slot of its end.
func (s *series) end(x *traffic.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.at(x.Start + int64(x.Latency))
	if sl == nil {
		return // it took its way here longer than the window is
	}
	sl.ended++
	if x.Failed() {
		sl.failed++
	}
	sl.latency.Record(x.Latency)
}

// A Reading is what the window holds.
type Reading struct {
	Count   uint64   // exchanges that ended
	Errors  uint64   // of those, that failed
	Overdue uint64   // exchanges under way for longer than the limit, where that is shorter than the window
	Slow    uint64   // of Count, that took longer than the limit
	Latency hdr.Hist // of Count
}

// read sums up the window that ends at now. limit 0: nothing is slow or overdue.
func (s *series) read(now int64, limit time.Duration) (r Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := number(now)
	first := last - int64(slots) + 1
	for i := range s.mu.ring {
		sl := &s.mu.ring[i]
		if sl.number < first || sl.number > last {
			continue
		}
		r.Count += sl.ended
		r.Errors += sl.failed
		r.Latency.Merge(&sl.latency)
	}
	r.countSlow(limit)
	if limit > 0 && limit <= Window-Every {
		r.Overdue = s.overdue(now, limit)
	}
	return r
}

// overdue is how many are under way for longer than limit: all but those that began since. The youngest that those of a
// mark can be is what counts, so that none is called overdue early. s.mu is held.
func (s *series) overdue(now int64, limit time.Duration) uint64 {
	old := s.mu.underWay
	for i := range s.mu.begun {
		if m := &s.mu.begun[i]; now-(m.number+1)*int64(markEvery) < int64(limit) {
			old -= m.underWay
		}
	}
	return uint64(max(old, 0))
}

func (r *Reading) countSlow(limit time.Duration) {
	if limit == 0 {
		return
	}
	for from, n := range r.Latency.Buckets() {
		if from > limit {
			r.Slow += n
		}
	}
}
