package guard

import (
	"cmp"
	"fmt"
	"sync"
	"time"
)

// The states of a guard.
const (
	Waiting = "waiting" // it has not seen enough yet; no lease can name it
	Ready   = "ready"
	Tripped = "tripped"
	Over    = "over" // its time is over, or it was removed
)

// armed is a Guard that watches, or did.
type armed struct {
	Guard
	order          uint64
	lane, baseline *series // baseline nil: not watched
	until          time.Time
	done           chan struct{} // closed when it watches no more
	ended          time.Time     // when that was; under the Set's lock

	mu struct {
		sync.Mutex
		st   Status
		last []bool // looks: true is bad, the newest last, at most N
	}
}

// Status is a guard and what it sees.
type Status struct {
	ID        string     `json:"id"`
	State     string     `json:"state"`
	Why       string     `json:"why"` // of the state; empty while it is ready and all is well
	Guard     Guard      `json:"guard"`
	Lane      Look       `json:"lane"`
	Baseline  *Look      `json:"baseline,omitempty"` // nil: not watched
	Bad       int        `json:"bad"`                // of the last looks
	Of        int        `json:"of"`
	Evaluated time.Time  `json:"evaluated"`
	Tripped   *time.Time `json:"tripped,omitempty"`
}

// A Look is one reading, judged.
type Look struct {
	Count     uint64  `json:"count"`
	Errors    uint64  `json:"errors"`
	Overdue   uint64  `json:"overdue"`
	ErrorRate float64 `json:"error_rate"`
	P99       float64 `json:"p99_ms"`
	Verdict   Verdict `json:"verdict"`
	Why       string  `json:"why"`
}

func newArmed(g Guard, order uint64, now time.Time) *armed {
	a := &armed{Guard: g, order: order, until: now.Add(g.TTL), done: make(chan struct{})}
	a.mu.st = Status{ID: g.ID, State: Waiting, Why: "it has not looked yet", Guard: g}
	return a
}

func byOrder(a, b *armed) int { return cmp.Compare(a.order, b.order) }

func (a *armed) status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.mu.st
	st.Of = len(a.mu.last)
	return st
}

func (a *armed) armed() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// look judges the windows as they are at now, and reports whether the guard goes on. The Set's lock is held.
func (a *armed) look(now time.Time) bool {
	if !now.Before(a.until) {
		a.end(now, Over, fmt.Sprintf("its ttl of %s is over", a.TTL))
		return false
	}
	lane := lookAt(a.lane, Limits{a.ErrorRate, a.P99, a.Min}, now)
	verdict, why := lane.Verdict, "lane "+string(a.Lane)+": "+lane.Why
	var base *Look
	if a.baseline != nil {
		l := lookAt(a.baseline, Limits{a.BaselineErrorRate, a.BaselineP99, a.Min}, now)
		if base = &l; verdict == OK {
			verdict, why = l.Verdict, "baseline: "+l.Why
		}
	}
	if verdict == OK {
		why = ""
	}
	if a.count(now, lane, base, verdict, why) {
		return true
	}
	a.end(now, Tripped, why)
	return false
}

// count takes one look in, and reports whether the guard goes on. A guard that waits judges nothing: no lease relies
// on it, and what broke before is not what a drill breaks.
func (a *armed) count(now time.Time, lane Look, base *Look, v Verdict, why string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := &a.mu.st
	st.Lane, st.Baseline, st.Evaluated, st.Why = lane, base, now, why
	if st.State == Waiting {
		if v == OK {
			st.State = Ready
		}
		return true
	}
	a.mu.last = append(a.mu.last, v != OK)
	if len(a.mu.last) > a.N {
		a.mu.last = a.mu.last[1:]
	}
	st.Bad = 0
	for _, bad := range a.mu.last {
		if bad {
			st.Bad++
		}
	}
	return st.Bad < a.K
}

// end makes it watch no more. The Set's lock is held.
func (a *armed) end(now time.Time, state, why string) {
	if !a.armed() {
		return
	}
	a.mu.Lock()
	a.mu.st.State, a.mu.st.Why = state, why
	if state == Tripped {
		a.mu.st.Tripped = &now
	}
	a.mu.Unlock()
	a.ended = now
	close(a.done)
}

func lookAt(s *series, l Limits, now time.Time) Look {
	r := s.read(now.UnixNano(), l.P99)
	v, why := l.judge(&r)
	return Look{r.Count, r.Errors, r.Overdue, r.ErrorRate(), r.P99(), v, why}
}
