package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/replayer"
)

// dropLost is the reason in the ledger for what a lost worker may have sent, and nobody knows what came of it.
const dropLost = "worker-lost"

// A Report is what a run with many workers found.
type Report struct {
	*replayer.Result
	Exchanges uint64        `json:"exchanges"` // in the recording, by the places that all workers counted; 0 when it was not read to its end
	Sent      uint64        `json:"sent"`      // requests that were certainly sent
	Unknown   uint64        `json:"unknown"`   // at most so many more were: released by workers in the moment they were lost
	Lost      uint64        `json:"lost"`      // of the ledger, for worker-lost
	Workers   []WorkerInfo  `json:"fleet"`
	Takeovers []*Takeover   `json:"takeovers,omitempty"`
	Skew      time.Duration `json:"skew"` // p99 over workers: how far a clock is off, or may be for all one can tell
	Aborted   string        `json:"aborted,omitempty"`
	Invalid   []string      `json:"invalid,omitempty"` // why the fleet's part of it cannot be trusted
}

// UnmarshalJSON replaces r with what json.Marshal made of a Report: the Result knows how to read itself only.
func (r *Report) UnmarshalJSON(data []byte) error {
	result := new(replayer.Result)
	if err := json.Unmarshal(data, result); err != nil {
		return err
	}
	type plain Report
	shadow := struct {
		*plain
		UnmarshalJSON struct{} `json:"-"` // hides the method
	}{plain: new(plain)}
	if err := json.Unmarshal(data, &shadow); err != nil {
		return err
	}
	*r = Report(*shadow.plain)
	r.Result = result
	return nil
}

// WorkerInfo is one worker.
type WorkerInfo struct {
	Name   string        `json:"name"`
	Loops  int           `json:"loops"`
	Sent   uint64        `json:"sent"`
	Offset time.Duration `json:"offset"` // of its clock before the run, which was made up for
	RTT    time.Duration `json:"rtt"`    // of the message that told it: the offset is right to half of it
	Skew   time.Duration `json:"skew"`   // of its clock against the agreed one, since
	Lost   bool          `json:"lost"`
}

// A Takeover is what happened to the shards of a lost worker.
type Takeover struct {
	Worker string        `json:"worker"`
	Shards int           `json:"shards"`
	Silent time.Duration `json:"silent"` // from its last word until it was given up
	Took   time.Duration `json:"took"`   // from its last word until others had gone on with all of it; 0 when they did not
	Lost   uint64        `json:"lost"`   // exchanges whose result is not known

	since   time.Time
	waiting int
	resumed bool
}

func (t *Takeover) String() string {
	return fmt.Sprintf("%d shards of worker %s: others go on, %v after its last word", t.Shards, t.Worker, t.Took.Round(time.Millisecond))
}

// Valid is nil when the run did what was asked of it, all workers together.
func (r *Report) Valid() error {
	if len(r.Invalid) > 0 {
		return fmt.Errorf("invalid run: %s", strings.Join(r.Invalid, "; "))
	}
	return r.Result.Valid()
}

// report adds up the run.
func (c *controller) report() *Report {
	c.merging.Lock()
	defer c.merging.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Report{Result: c.sum.all(), Takeovers: c.taken, Aborted: c.abort, Invalid: c.invalid}
	r.Started, r.Elapsed = c.t0, max(0, c.Clock.Now().Sub(c.t0))
	r.Interrupted = c.stopped || c.abort != ""
	var released, counted, unknown uint64 // unknown: in nobody's result
	var lastDue, lastSent time.Duration
	complete := true
	odd, first := 0, ""
	sent := make(map[*member]uint64)
	for id := range len(c.parts) {
		p := c.parts[id]
		n := p.lease.Counts
		released += n.Released
		r.Sent += n.Sent
		sent[p.worker] += n.Sent
		lastDue, lastSent = max(lastDue, n.Due), max(lastSent, p.last)
		counted += p.lease.Mark.Count
		missing := int64(p.lease.Mark.Count) - int64(p.taken)
		r.Lost += p.unsent
		if p.state == lost && missing > 0 {
			r.Lost += uint64(missing)
			unknown += uint64(missing)
			r.Unknown += p.lease.Mark.Count - min(p.lease.Mark.Count, n.Sent)
		} else if missing != 0 && c.abort == "" {
			if odd++; odd == 1 {
				first = fmt.Sprintf("worker %s counted %d exchanges and has results of %d", p.worker.Name, p.lease.Mark.Count, p.taken)
			}
		}
		if !p.lease.Mark.End {
			complete = complete && p.handed
			continue
		}
		if r.Exchanges != 0 && r.Exchanges != p.lease.Mark.Place {
			r.Invalid = append(r.Invalid, fmt.Sprintf("worker %s read %d exchanges, others %d: it has another recording", p.worker.Name, p.lease.Mark.Place, r.Exchanges))
		}
		r.Exchanges = p.lease.Mark.Place
	}
	switch {
	case odd == 1:
		r.Invalid = append(r.Invalid, first)
	case odd > 1:
		r.Invalid = append(r.Invalid, fmt.Sprintf("%s, and %d more such", first, odd-1))
	}
	r.Ledger.Accepted += unknown
	r.Ledger.Drop(dropLost, unknown)
	r.Asked, r.Achieved = perSecond(released, lastDue), perSecond(r.Sent, lastSent)
	c.holesLocked(r)
	switch {
	case c.abort != "":
	case !complete:
		r.Invalid = append(r.Invalid, "the recording was not read to its end")
	case counted != r.Exchanges:
		r.Invalid = append(r.Invalid, fmt.Sprintf("%d exchanges in the recording, and workers counted %d", r.Exchanges, counted))
	case float64(r.Lost) > c.LostLimit*float64(r.Exchanges):
		r.Invalid = append(r.Invalid, fmt.Sprintf("%d of %d exchanges were lost with workers, limit %g %%", r.Lost, r.Exchanges, 100*c.LostLimit))
	}
	c.clocksLocked(r, sent)
	return r
}

// holesLocked writes into each takeover what was lost with it.
func (c *controller) holesLocked(r *Report) {
	for _, t := range r.Takeovers {
		for _, p := range c.parts {
			if p.takeover == t {
				t.Lost = p.unsent + p.lease.Mark.Count - min(p.lease.Mark.Count, p.taken)
			}
		}
	}
}

// clocksLocked lists the workers, and how well their clocks agreed.
func (c *controller) clocksLocked(r *Report, sent map[*member]uint64) {
	var off []time.Duration
	r.Result.Workers = 0
	for _, w := range c.order {
		r.Workers = append(r.Workers, WorkerInfo{w.Name, w.Loops, sent[w], w.offset, w.rtt, w.skew, w.gone})
		r.Result.Workers += w.Loops
		off = append(off, max(w.skew.Abs(), w.rtt/2))
	}
	if len(off) == 0 {
		return
	}
	slices.Sort(off)
	if r.Skew = off[(len(off)*99+99)/100-1]; r.Skew > c.SkewLimit {
		r.Invalid = append(r.Invalid, fmt.Sprintf("the workers' clocks are off by %v (p99), limit %v", r.Skew.Round(time.Microsecond), c.SkewLimit))
	}
}

// perSecond is the rate of n events of which the first was at 0 and the last at end.
func perSecond(n uint64, end time.Duration) float64 {
	if n < 2 || end <= 0 {
		return 0
	}
	return float64(n-1) / end.Seconds()
}
