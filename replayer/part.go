package replayer

import (
	"context"
	"maps"
	"sync"
	"time"
)

// A Part is what one of several replayers has of a run. All read the whole recording and give every exchange
// its place and its due time, so that what they send adds up to the one schedule; each sends its own sessions.
//
//	place   0   1   2   3   4   5   6   7   8   9  ...   of the whole recording, in order of due time
//	mine        ▒       ▒   ▒           ▒       ▒
//	            └ sent ─────┘ └ may be ─┘ └ waits: nobody has been told yet
//	                          Allow ────► Mark
//
// Nothing is sent beyond the last Mark that was allowed. Whoever writes the Mark down first, where others can
// read it, can go on for a replayer that has died: what is due before the Mark may have been sent, and
// nothing after it has. A Part is used for one Run.
type Part struct {
	Owns func(session uint64) bool // nil means every session is its own
	From uint64                    // the first place that is its own business; what comes before is somebody else's

	// Agree, when set, is asked for due time 0 of the run once enough has been read ahead.
	Agree func(ctx context.Context) (time.Time, error)

	mu struct {
		sync.Mutex
		marks    []Mark // beyond what is allowed, in order
		now      Mark   // at the feed; its Place is the next
		allowed  Mark
		closed   bool
		counted  map[string]uint64 // unsendable ones that a Result has
		books    []*book           // taken from clients and in no Result yet
		run      *run
		lastSent time.Duration
	}
}

// A Mark is a place in a recording, and what the part has before it.
type Mark struct {
	Place uint64        // exchanges of the whole recording before it
	Due   time.Duration // of the exchange before it
	Count uint64        // exchanges of the part before it, from Part.From on
	End   bool          // the recording ends here

	unsendable map[string]uint64 // of Count, by reason; shared, never written
}

// markStep is how far marks are apart in due time, where the recording is dense.
const markStep = 10 * time.Millisecond

// foreign reports whether the session is another Part's. A nil Part has all sessions.
func (p *Part) foreign(session uint64) bool { return p != nil && p.Owns != nil && !p.Owns(session) }

// pass gives it its place, and reports whether it is to be sent. For the feed, in order of due time.
func (p *Part) pass(it *item, due time.Duration) (mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := &p.mu.now
	if due/markStep > now.Due/markStep {
		p.markLocked()
	}
	it.place = now.Place
	now.Place++
	now.Due = due
	if it.foreign {
		return false
	}
	if it.place < p.From {
		return false
	}
	now.Count++
	if it.reason != "" {
		now.unsendable = maps.Clone(now.unsendable)
		if now.unsendable == nil {
			now.unsendable = make(map[string]uint64)
		}
		now.unsendable[it.reason]++
		return false
	}
	return true
}

// mark makes all that has passed allowable. For the feed, when it is about to wait.
func (p *Part) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.markLocked()
}

func (p *Part) markLocked() {
	if n := len(p.mu.marks); n > 0 && p.mu.marks[n-1].Place == p.mu.now.Place {
		p.mu.marks[n-1] = p.mu.now
		return
	}
	p.mu.marks = append(p.mu.marks, p.mu.now)
}

// end says that the recording ends here.
func (p *Part) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.now.End = true
	p.markLocked()
}

// Next is the last mark before which nothing is due after until, counted from due time 0. ok is false when
// that is no further than what is allowed.
func (p *Part) Next(until time.Duration) (m Mark, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.mu.marks) && p.mu.marks[n].Due <= until {
		n++
	}
	if n == 0 {
		return p.mu.allowed, false
	}
	p.mu.marks = p.mu.marks[n-1:] // the last may yet be allowed
	m = p.mu.marks[0]
	return m, m.Place > p.mu.allowed.Place || m.End && !p.mu.allowed.End
}

// Allow lets everything before m be sent at its time.
func (p *Part) Allow(m Mark) {
	p.mu.Lock()
	p.mu.allowed = m
	r := p.mu.run
	p.mu.Unlock()
	if r != nil {
		r.ahead.allow(m.Place)
	}
}

// Close says that nothing more will be allowed: the run ends once what is allowed has been answered.
func (p *Part) Close() {
	p.mu.Lock()
	p.mu.closed = true
	r := p.mu.run
	p.mu.Unlock()
	if r != nil {
		r.ahead.close()
	}
}

// Allowed is the last mark that was.
func (p *Part) Allowed() Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.allowed
}

// attach begins a run.
func (p *Part) attach(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.run = r
	r.ahead.allow(p.mu.allowed.Place)
	if p.mu.closed {
		r.ahead.close()
	}
}
