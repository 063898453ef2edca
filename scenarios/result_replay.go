package scenarios

import (
	"cmp"
	"slices"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/reports"
)

// addReplay enters what a replay found, its seconds moved to the scenario's time line.
func (r *run) addReplay(v *replay, st *Step, result *replayer.Result) {
	ledger := result.Ledger
	ledger.Stage = st.Name
	r.addLedger(ledger)
	if err := result.Valid(); err != nil {
		r.warn("%s: %v", st.Name, err)
	}
	rep := ReportReplay(result, r.start)
	rep.Name, rep.Lane, rep.Rate = v.Tape+" to "+v.To, string(v.Lane), v.Rate.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.replays = append(r.mu.replays, rep)
	r.mu.results = append(r.mu.results, result)
}

// ReportReplay is a replay as a report has it, its seconds counted from start. It has no name yet.
func ReportReplay(result *replayer.Result, start time.Time) reports.Replay {
	return reports.Replay{
		Lane: string(result.Lane), Rate: result.Rate, Target: result.Target.String(),
		Asked: result.Ledger.Accepted - result.Ledger.Filtered, Sent: result.Total.Sent.Count(), Errors: result.Total.Errors.Sum(),
		FromDue: latencyOf(&result.Total.Due), FromSend: latencyOf(&result.Total.Sent), Lag: latencyOf(&result.Pace),
		LagLimit: result.LagLimit, Answers: answers(result), Seconds: ticks(result, result.Started.Sub(start)),
		CurveDue: curve(&result.Total.Due), CurveSend: curve(&result.Total.Sent),
	}
}

// answers puts the cells of each route and status together, the most frequent first.
func answers(result *replayer.Result) (all []reports.Answer) {
	type key struct {
		route  string
		status int
	}
	sums := make(map[key]*hdr.Hist)
	for i := range result.Cells {
		c := &result.Cells[i]
		at := key{c.Route, c.Status}
		if sums[at] == nil {
			sums[at] = new(hdr.Hist)
		}
		sums[at].Merge(&c.Due)
	}
	for at, h := range sums {
		all = append(all, reports.Answer{Route: at.route, Status: at.status, Count: h.Count(), FromDue: latencyOf(h)})
	}
	slices.SortFunc(all, func(a, b reports.Answer) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Status, b.Status))
	})
	return all
}

// ticks puts the cells of each second together and moves them by the second in which the replay began.
func ticks(result *replayer.Result, offset time.Duration) []reports.Tick {
	seconds := make(map[int]*replayer.Stats)
	var order []int
	for i := range result.Cells {
		c := &result.Cells[i]
		if seconds[c.Second] == nil {
			seconds[c.Second] = new(replayer.Stats)
			order = append(order, c.Second)
		}
		seconds[c.Second].Add(&c.Stats)
	}
	slices.Sort(order)
	first := int(offset / time.Second)
	all := make([]reports.Tick, len(order))
	for i, second := range order {
		s := seconds[second]
		all[i] = reports.Tick{
			Second: first + second, Asked: s.Count, Sent: s.Sent.Count(), Errors: s.Errors.Sum(),
			FromDue: latencyOf(&s.Due), FromSend: latencyOf(&s.Sent), Lag: latencyOf(&s.Lag),
		}
	}
	return all
}

// curve takes quantiles evenly over the nines, as far as the number of values supports them.
func curve(h *hdr.Hist) (points []reports.Quantile) {
	if h.Count() == 0 {
		return nil
	}
	const perNine = 8
	for miss, step := 1.0, 0; miss*float64(h.Count()) >= 1 && step < 6*perNine; step++ {
		points = append(points, reports.Quantile{Q: 1 - miss, Value: h.Quantile(1 - miss)})
		miss *= 0.749894209332456 // 10^(-1/8)
	}
	return append(points, reports.Quantile{Q: 1, Value: h.Max()})
}

// takeReplay measures what the replays of the run found together.
func (r *run) takeReplay(name, quantile string) (value float64, n uint64, why string) {
	var due, sent, lag hdr.Hist
	worst := 1.0
	for _, result := range r.mu.results {
		due.Merge(&result.Total.Due)
		sent.Merge(&result.Total.Sent)
		lag.Merge(&result.Total.Lag)
		if result.Asked > 0 {
			worst = min(worst, result.Achieved/result.Asked)
		}
	}
	if len(r.mu.results) == 0 {
		return 0, 0, "nothing was replayed"
	}
	h := map[string]*hdr.Hist{"due": &due, "sent": &sent, "lag": &lag}[name]
	if h == nil { // achieved
		return worst, due.Count(), ""
	}
	return float64(h.Quantile(quantiles[quantile])), h.Count(), ""
}
