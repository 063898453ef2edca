package replayer

import (
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// ResultVersion is the version of Result as JSON and as bytes. It grows when a field changes its meaning.
const ResultVersion = 1

// A Result is what a replay found. It is plain data and complete, also after an interrupted run. Results of
// several workers are put together by Merge.
type Result struct {
	Version int `json:"version"`

	RunID   string        `json:"run"` // the stress tag of its requests
	To      string        `json:"to"`
	Lane    traffic.Color `json:"lane"`
	Rate    string        `json:"rate"` // as asked for: 5x, 2000/s or the text of a shape
	Seed    uint64        `json:"seed"`
	Workers int           `json:"workers"`

	Started time.Time     `json:"started"` // due time 0
	Elapsed time.Duration `json:"elapsed"` // from Started to the end of the run, waiting for answers included

	Released uint64        `json:"released"`  // requests that have been due
	LastDue  time.Duration `json:"last_due"`  // due time of the last of them, from Started
	Sent     uint64        `json:"sent"`      // requests that were given to a connection
	LastSent time.Duration `json:"last_sent"` // when the last of them was, from Started
	Asked    float64       `json:"asked"`     // requests per second that the schedule wanted, of what was released
	Achieved float64       `json:"achieved"`  // requests per second that were sent

	// Ledger: accepted is what was read of the recording, passed what was sent and answered.
	Ledger traffic.Ledger `json:"ledger"`

	Total Stats  `json:"total"` // of all Cells
	Step  int    `json:"step"`  // seconds of a cell: 1, and in long runs of many routes 2, 4, 8 ...
	Cells []Cell `json:"cells"` // by second, lane, route and status; some ten thousand at most

	Statuses   map[int]uint64 `json:"statuses"` // answers by status
	Compared   uint64         `json:"compared"` // answers to requests whose recording has an answer
	Mismatched uint64         `json:"mismatched"`
	Mismatches []Mismatch     `json:"mismatches,omitempty"` // most frequent first

	Sessions    uint64 `json:"sessions"`    // exact up to 2^20 of them
	Connections uint64 `json:"connections"` // opened
	Reconnects  uint64 `json:"reconnects"`  // of them, for a session that had one before
	IdleClosed  uint64 `json:"idle_closed"` // closed by us, to stay within Config.MaxIdle
	Retried     uint64 `json:"retried"`     // requests sent again, because a kept connection was dead
	Unsolicited uint64 `json:"unsolicited"` // connections on which the target sent what nobody had asked for
	Waited      uint64 `json:"waited"`      // requests that were due before their session had its previous answer
	Pipelined   uint64 `json:"pipelined"`   // of the recording: sent before the previous answer; here they wait, without Config.Pipeline
	Spawned     uint64 `json:"spawned"`     // requests sent beside their session, which was busy (Overload.Spawn)

	Rewritten rewrite.Counts `json:"rewritten"` // what was put in place of recorded values

	// Why a schedule was not kept.
	Exhausted uint64 `json:"exhausted"` // requests overdue when read, because the window was full
	ReadLate  uint64 `json:"read_late"` // requests overdue when read, because the source was slow
	Disorder  uint64 `json:"disorder"`  // requests too far out of order to be put at their time

	Unfilled time.Duration `json:"unfilled,omitempty"` // of the shape, when the recording ended before it did

	Target  Target `json:"target"`            // what it confirmed about itself
	Stopped string `json:"stopped,omitempty"` // why the run was stopped from within: the target confirmed its lane no more

	Interrupted bool `json:"interrupted"` // ctx ended before the recording did

	// Pace is the replayer's own part of lag: from when a request was due, and its session free and
	// connected, to when it was sent. The rest of lag is the target's doing.
	Pace     hdr.Hist      `json:"pace"`
	LagLimit time.Duration `json:"lag_limit"`
}

// Stats are counts and distributions of requests. A request that failed has the time until it failed; one
// that was never sent is in Due only.
type Stats struct {
	Count  uint64 `json:"count"`
	Errors Errors `json:"errors"`

	Due  hdr.Hist `json:"due"`  // latency from the due time: what a user would have seen
	Sent hdr.Hist `json:"sent"` // latency from sending: what the target took
	Lag  hdr.Hist `json:"lag"`  // from the due time to sending
}

// Errors counts failed requests by kind.
type Errors struct {
	Connect   uint64 `json:"connect"`    // no connection
	Reset     uint64 `json:"reset"`      // the connection ended before the answer did
	Timeout   uint64 `json:"timeout"`    // no whole answer in time, or none by the end of the run
	Protocol  uint64 `json:"protocol"`   // the answer was not HTTP
	Status5xx uint64 `json:"status_5xx"` // answered with 500 or above
}

// Sum is the number of failed requests.
func (e *Errors) Sum() uint64 { return e.Connect + e.Reset + e.Timeout + e.Protocol + e.Status5xx }

// Add merges other into e.
func (e *Errors) Add(other *Errors) {
	e.Connect += other.Connect
	e.Reset += other.Reset
	e.Timeout += other.Timeout
	e.Protocol += other.Protocol
	e.Status5xx += other.Status5xx
}

// Add merges other into s, exactly.
func (s *Stats) Add(other *Stats) {
	s.Count += other.Count
	s.Errors.Add(&other.Errors)
	s.Due.Merge(&other.Due)
	s.Sent.Merge(&other.Sent)
	s.Lag.Merge(&other.Lag)
}

// A Cell holds the requests of one route that were due in one step of the run and ended with one status.
type Cell struct {
	Second int           `json:"second"` // the first of the step, from Started
	Lane   traffic.Color `json:"lane"`
	Route  string        `json:"route"`  // method and template of the path, or other; see Config.Routes
	Status int           `json:"status"` // 0 when there was no answer
	Class  int           `json:"class"`  // first digit of Status
	Stats
}

// A Mismatch is an answer whose status is not the recorded one.
type Mismatch struct {
	Recorded int    `json:"recorded"`
	Replayed int    `json:"replayed"`
	Count    uint64 `json:"count"`
}

// Valid is nil when the run did what was asked of it, whatever the target made of that. An invalid run
// proves nothing.
func (r *Result) Valid() error {
	if err := r.Ledger.Balance(); err != nil {
		return fmt.Errorf("invalid run: %w", err)
	}
	if r.Stopped != "" {
		return fmt.Errorf("invalid run: stopped: %s", r.Stopped)
	}
	switch lag := r.Pace.Quantile(0.99); {
	case r.Exhausted > 0:
		return fmt.Errorf("invalid run: the window was full and %d requests were late for it; raise the window or lower the rate", r.Exhausted)
	case r.Disorder > 0:
		return fmt.Errorf("invalid run: %d requests were too far out of order in the recording to be sent at their time", r.Disorder)
	case lag > r.LagLimit:
		return fmt.Errorf("invalid run: the replayer was late by itself, p99 %v, limit %v; lower the rate or give it more cores", lag, r.LagLimit)
	case r.Unfilled > 0 && !r.Interrupted:
		return fmt.Errorf("invalid run: the recording ended %v before the shape did; repeat it", r.Unfilled.Round(time.Millisecond))
	case r.Total.Count == 0 && !r.Interrupted:
		return errors.New("invalid run: the recording holds nothing that can be sent")
	}
	return nil
}
