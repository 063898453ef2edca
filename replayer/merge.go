package replayer

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// Merge adds what other found to r; other stays as it is. It is exact: whatever the order in which the results
// of many workers are merged, and in whatever groups, the same comes out, and quantiles are those of all requests
// together. The zero Result is nothing: merged with it, any result stays the same.
//
// Seconds are put together as they stand, each from its own Started: workers of one run have agreed on that.
// Of what is the same for all of them, and should differ, To, Lane, Rate and RunID become lists, Started the earliest
// and LagLimit the strictest.
func (r *Result) Merge(other *Result) {
	r.mergeHead(other)
	r.Total.Add(&other.Total)
	r.mergeCells(other)
}

// mergeHead merges all but the cells and their total.
func (r *Result) mergeHead(other *Result) {
	r.Version = ResultVersion
	switch {
	case other.To == "": // nothing was sent anywhere
	case r.To == "":
		r.Target = other.Target
	default:
		r.Target.merge(&other.Target)
	}
	r.RunID = union(r.RunID, other.RunID)
	r.To = union(r.To, other.To)
	r.Lane = traffic.Color(union(string(r.Lane), string(other.Lane)))
	r.Rate = union(r.Rate, other.Rate)
	r.Seed = max(r.Seed, other.Seed)
	r.Workers += other.Workers
	if r.Started.IsZero() || !other.Started.IsZero() && other.Started.Before(r.Started) {
		r.Started = other.Started
	}
	r.Elapsed = max(r.Elapsed, other.Elapsed)
	r.LagLimit = strictest(r.LagLimit, other.LagLimit)
	r.Stopped = min(cmp.Or(r.Stopped, other.Stopped), cmp.Or(other.Stopped, r.Stopped))
	r.Interrupted = r.Interrupted || other.Interrupted

	r.LastDue = max(r.LastDue, other.LastDue)
	r.LastSent = max(r.LastSent, other.LastSent)
	r.Released += other.Released
	r.Sent += other.Sent
	r.rates()

	r.Ledger.Stage = union(r.Ledger.Stage, other.Ledger.Stage)
	r.Ledger.Add(&other.Ledger)
	r.Pace.Merge(&other.Pace)
	r.mergeAnswers(other)

	r.Sessions += other.Sessions
	r.Connections += other.Connections
	r.Reconnects += other.Reconnects
	r.IdleClosed += other.IdleClosed
	r.Retried += other.Retried
	r.Unsolicited += other.Unsolicited
	r.Waited += other.Waited
	r.Pipelined += other.Pipelined
	r.Spawned += other.Spawned
	r.Rewritten.Add(other.Rewritten)
	r.Exhausted += other.Exhausted
	r.ReadLate += other.ReadLate
	r.Disorder += other.Disorder
	r.Unfilled = max(r.Unfilled, other.Unfilled)
}

// merge makes t what is known of both: it is confirmed when both are.
func (t *Target) merge(other *Target) {
	t.Confirmed = t.Confirmed && other.Confirmed
	t.Service = union(t.Service, other.Service)
	t.Issuer = union(t.Issuer, other.Issuer)
	t.Key = union(t.Key, other.Key)
	t.Fallback = union(t.Fallback, other.Fallback)
	t.Tickets += other.Tickets
}

// mergeCells goes to the longer of the two steps, or beyond where that is still too many cells. So the step of
// a merge is the shortest that all of its parts and their sum allow, whatever the order.
func (r *Result) mergeCells(other *Result) {
	g := newGrid(maxCells)
	for g.step < max(r.Step, other.Step) {
		g.step *= 2
	}
	for i := range r.Cells {
		g.put(&r.Cells[i], true)
	}
	for i := range other.Cells {
		g.add(&other.Cells[i])
	}
	g.fit(g.step)
	r.Step, r.Cells = g.step, g.list()
}

func (r *Result) mergeAnswers(other *Result) {
	if r.Statuses == nil {
		r.Statuses = make(map[int]uint64)
	}
	for status, n := range other.Statuses {
		r.Statuses[status] += n
	}
	r.Compared += other.Compared
	r.Mismatched += other.Mismatched
	sum := make(map[mismatchKey]uint64)
	for _, part := range []*Result{r, other} {
		for _, m := range part.Mismatches {
			sum[mismatchKey{m.Recorded, m.Replayed}] += m.Count
		}
	}
	r.Mismatches = listMismatches(sum)
}

// union is every word of both comma-separated lists, once.
func union(a, b string) string {
	switch {
	case a == b || b == "":
		return a
	case a == "":
		return b
	}
	words := append(strings.Split(a, ","), strings.Split(b, ",")...)
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ",")
}

// strictest is the smaller of two limits, of which 0 is none.
func strictest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
