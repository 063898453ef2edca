package netfault

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/internal/chance"
)

const (
	maxHeld   = 64 << 20               // bytes that a Line holds at most; a longer queue is no network any more
	rateQueue = 100 * time.Millisecond // of a rate: what comes when more than this is waiting is lost, as in a router
	minQueue  = 16 << 10               // but never less than this many bytes
)

// A Line is one way through a bad network. It is pure: time comes with every call, as the distance from any fixed
// instant, and must not go back. It is for one goroutine.
//
//	Offer ─► lost? ─► rate: one after the other ─► delay ± jitter ─► Due
//	           │                                     ▲
//	           └─ four draws for every packet,       └─ doubled packets twice; overtaking ones not
//	              whatever becomes of it
type Line struct {
	impair Impair
	luck   *rand.Rand
	bad    bool          // within a run of losses
	free   time.Duration // when the last packet will have passed the rate
	queue  packets
	held   int // bytes
	order  uint64
	counts Counts
}

// Counts are what a way has done to its packets. Packets = Lost + Overflow + those passed on or held, without the
// doubles.
type Counts struct {
	Packets    uint64 `json:"packets"`    // that came
	Bytes      uint64 `json:"bytes"`      // of those
	Lost       uint64 `json:"lost"`       // on purpose
	Duplicated uint64 `json:"duplicated"` // sent twice
	Reordered  uint64 `json:"reordered"`  // sent without delay
	Overflow   uint64 `json:"overflow"`   // lost because too much was waiting, as in a router
	Passed     uint64 `json:"passed"`     // sent on, doubles included
	Unsent     uint64 `json:"unsent"`     // of those, refused by the network beyond
}

// NewLine returns the way of that name through i, which must be checked. Seed and name make its luck.
func NewLine(i Impair, seed uint64, name string) *Line {
	return &Line{impair: i, luck: chance.Stream(seed, name, 0)}
}

// Offer gives the line a packet. It is the line's own from then on, until Due gives it back; when Offer returns
// false it is lost, and the caller's again.
func (l *Line) Offer(now time.Duration, packet []byte) (kept bool) {
	lossDraw, duplicate, reorder, jitter := l.luck.Float64(), l.luck.Float64(), l.luck.Float64(), l.luck.Float64()
	l.counts.Packets++
	l.counts.Bytes += uint64(len(packet))
	if l.loses(lossDraw) {
		l.counts.Lost++
		return false
	}
	at, ok := l.passesRate(now, len(packet))
	if !ok || l.held+len(packet) > maxHeld {
		l.counts.Overflow++
		return false
	}
	if reorder < float64(l.impair.Reorder) {
		l.counts.Reordered++
	} else {
		at += l.impair.Delay + time.Duration((2*jitter-1)*float64(l.impair.Jitter))
	}
	l.hold(at, packet)
	if duplicate < float64(l.impair.Duplicate) {
		l.counts.Duplicated++
		l.hold(at, append([]byte(nil), packet...))
	}
	return true
}

// loses decides by two states when losses come in runs: a run begins with a chance that makes the share of all
// lost packets come out as Loss, and goes on with one that makes it Burst packets long on average.
func (l *Line) loses(draw float64) bool {
	share := float64(l.impair.Loss)
	if l.impair.Burst == 0 {
		return draw < share
	}
	ends := 1 / l.impair.Burst
	if l.bad {
		l.bad = draw >= ends
	} else {
		l.bad = draw < ends*share/(1-share)
	}
	return l.bad
}

// passesRate is when the last byte of a packet of n bytes has passed, and whether there is room to wait for it.
func (l *Line) passesRate(now time.Duration, n int) (time.Duration, bool) {
	if l.impair.Rate == 0 {
		return now, true
	}
	perByte := float64(time.Second) / float64(l.impair.Rate)
	room := max(rateQueue, time.Duration(minQueue*perByte))
	if l.free-now > room {
		return 0, false
	}
	l.free = max(l.free, now) + time.Duration(float64(n)*perByte)
	return l.free, true
}

func (l *Line) hold(at time.Duration, packet []byte) {
	l.held += len(packet)
	l.order++
	heap.Push(&l.queue, held{at, l.order, packet})
}

// Next is when the next packet is due, and whether one is held.
func (l *Line) Next() (time.Duration, bool) {
	if len(l.queue) == 0 {
		return 0, false
	}
	return l.queue[0].at, true
}

// Due returns the next packet whose time has come, nil when none has.
func (l *Line) Due(now time.Duration) []byte {
	if len(l.queue) == 0 || l.queue[0].at > now {
		return nil
	}
	p := heap.Pop(&l.queue).(held)
	l.held -= len(p.packet)
	l.counts.Passed++
	return p.packet
}

// Counts is what the line has done so far.
func (l *Line) Counts() Counts { return l.counts }

type held struct {
	at     time.Duration
	order  uint64 // packets due at the same instant keep their order
	packet []byte
}

// packets is a heap: what is due first is at 0.
type packets []held

func (p packets) Len() int { return len(p) }
func (p packets) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].order < p[j].order
}
func (p packets) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)   { *p = append(*p, x.(held)) }

func (p *packets) Pop() any {
	old := *p
	last := old[len(old)-1]
	old[len(old)-1] = held{} // lets go of the packet
	*p = old[:len(old)-1]
	return last
}
