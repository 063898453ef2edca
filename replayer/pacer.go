package replayer

import (
	"time"

	"github.com/redlane/redlane/internal/chance"
)

// A pacer says what is due on its loop, and when to ask again. It looks at nothing but the clock and the loop's
// track: whether earlier requests were answered, or sent, changes nothing for later ones.
//
//	track ─ all that is due now ─► one batch ─► send
//	  ▲ the loop's alarm: the next due time, absolute; the loop waits for it itself (ADR 14)
type pacer struct {
	ahead *ahead
	loop  int

	batch []*item
	opens []uint64
}

const (
	// slot is the shortest sleep after a large batch. A wake-up costs some 20 µs of CPU whatever is sent, so due times
	// closer together than this share one; no request is late for it by more. Each request of the batch before
	// lets it grow by step: up to some 50,000 a second it stays short, and at low rates nobody waits for
	// others. At 100,000/s this took a seventh off the CPU of a request.
	slot = 250 * time.Microsecond
	step = 10 * time.Microsecond
	// lead is how long before its first request is due a session connects.
	lead = 100 * time.Millisecond
)

// look returns what is due at now and the sessions that should connect by now, both valid until the next call. again is
// when to call it then; never means when the loop is told, and ended that nothing more will be due.
func (p *pacer) look(now time.Duration) (batch []*item, opens []uint64, again time.Duration, ended bool) {
	clear(p.batch)
	p.batch, p.opens, again, ended = p.ahead.due(p.loop, now, lead, p.batch[:0], p.opens[:0])
	if again != never {
		pause := min(step*time.Duration(max(len(p.batch), 1)), slot)
		again = min(max(again, now+pause), now+time.Hour) // a due time may be too far for a clock
	}
	return p.batch, p.opens, again, ended
}

// A closed loop is given closedBatch items at a time, whenever it has fewer than closedLow: few enough to stay in
// the cache, and so many that the sessions at work among them keep everybody busy.
const (
	closedBatch = 1024
	closedLow   = 512
)

// take returns the next items, due or not, valid until the next call: none means when the loop is told.
func (p *pacer) take() (batch []*item, ended bool) {
	clear(p.batch)
	p.batch, ended = p.ahead.take(p.loop, closedBatch, p.batch[:0])
	return p.batch, ended
}

func mix(x uint64) uint64 { return chance.Mix(x) }
