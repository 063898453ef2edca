package drill

import (
	"sync"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
)

// An arm is what one lane did, by windows of due time. It is the replayer.Stream of its lane.
type arm struct {
	width time.Duration
	mu    struct {
		sync.Mutex
		windows []*window
	}
}

type window struct {
	count, errors uint64
	latency       hdr.Hist // from the due time: what a user would have seen
}

// A Reading is one window of one lane, for the journal.
type Reading struct {
	Count     uint64  `json:"count"`
	Errors    uint64  `json:"errors"` // no answer, or 500 and above
	ErrorRate float64 `json:"error_rate"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
}

// A Pair is the same recorded requests in both lanes.
type Pair struct {
	Phase   Phase   `json:"phase"`
	At      float64 `json:"at"` // seconds since the first request was due
	Faulted Reading `json:"faulted"`
	Control Reading `json:"control"`
}

// Phase is what was going on in a window.
type Phase string

// The phases of a drill. A window that lies in two belongs to neither, and is left out.
const (
	Warmup   Phase = "warmup"
	Steady   Phase = "steady"
	Fault    Phase = "fault"
	Recovery Phase = "recovery"
)

// Hand implements replayer.Stream.
func (a *arm) Hand(b *replayer.Batch) *replayer.Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		w := a.at(int(r.Due / a.width))
		w.count++
		if r.Status == 0 || r.Status >= 500 {
			w.errors++
		}
		w.latency.Record(r.End - r.Due)
	}
	b.Reset()
	return b
}

// maxWindows bounds the memory of an arm: a day of seconds.
const maxWindows = 100_000

// at is the window of a number; a.mu is held.
func (a *arm) at(i int) *window {
	i = min(max(i, 0), maxWindows)
	for len(a.mu.windows) <= i {
		a.mu.windows = append(a.mu.windows, new(window))
	}
	return a.mu.windows[i]
}

// seen is how many requests have ended so far.
func (a *arm) seen() (n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.mu.windows {
		n += w.count
	}
	return n
}

func (w *window) reading() Reading {
	r := Reading{Count: w.count, Errors: w.errors, P50: ms(w.latency.Quantile(0.5)), P99: ms(w.latency.Quantile(0.99))}
	if w.count > 0 {
		r.ErrorRate = float64(w.errors) / float64(w.count)
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// spans is when the phases of a drill were, since due time 0.
type spans struct {
	warm           time.Duration // steady from here
	armed          time.Duration // first seen live; below 0: never
	gone           time.Duration // first seen gone after that; below 0: never
	mayBeArmedFrom time.Duration // nothing was armed before: the method began
	end            time.Duration
}

// phase is the phase of the window from from to to; empty when it is in none as a whole.
func (s *spans) phase(from, to time.Duration) Phase {
	switch {
	case to > s.end:
		return ""
	case from < s.warm:
		return Warmup
	case to <= s.mayBeArmedFrom:
		return Steady
	case s.armed < 0:
		return ""
	case from >= s.armed && (s.gone < 0 || to <= s.gone):
		return Fault
	case s.gone >= 0 && from >= s.gone:
		return Recovery
	}
	return ""
}

// pairs puts the windows of both lanes together. Both must have ended.
func pairs(faulted, control *arm, s *spans) (all []Pair) {
	width := faulted.width
	for i := range min(len(faulted.mu.windows), len(control.mu.windows)) {
		from := time.Duration(i) * width
		p := Pair{Phase: s.phase(from, from+width), At: from.Seconds()}
		if p.Phase == "" {
			continue
		}
		p.Faulted, p.Control = faulted.mu.windows[i].reading(), control.mu.windows[i].reading()
		if p.Faulted.Count > 0 && p.Control.Count > 0 {
			all = append(all, p)
		}
	}
	return all
}
