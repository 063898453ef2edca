package reports

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redlane/redlane/reports/chart"
	"github.com/redlane/redlane/traffic"
)

func (p *page) checks(r *Run, checks []Check) {
	var expect, also []checkRow
	for i := range checks {
		c := &checks[i]
		row := checkRow{stateClass(c.State), words[c.State].mark, checkWord(c.State), c.Name, c.Got, c.Why}
		if c.Group == GroupExpect {
			expect = append(expect, row)
		} else {
			also = append(also, row)
		}
	}
	p.MoreExpect, p.MoreChecks = more(len(expect), mostRows, "expectation"), more(len(also), mostRows, "check")
	p.Expect = worst(expect)
	for _, row := range worst(also) {
		if row.State == stateClass(Passed) {
			p.Held = append(p.Held, row)
		} else {
			p.Wrong = append(p.Wrong, row)
		}
	}
}

// worst cuts rows to as many as the page shows and keeps those that did not hold.
func worst(rows []checkRow) []checkRow {
	if len(rows) <= mostRows {
		return rows
	}
	slices.SortStableFunc(rows, func(a, b checkRow) int {
		return cmp.Compare(btoi(a.State == stateClass(Passed)), btoi(b.State == stateClass(Passed)))
	})
	return rows[:mostRows]
}

// more says how many of n did not fit, or nothing.
func more(n, most int, noun string) string {
	if n <= most {
		return ""
	}
	return plural(uint64(n-most), "more "+noun) + " in " + JSONFile + "."
}

func (p *page) facts(r *Run) {
	add := func(list *[]fact, name, value string) {
		if value != "" {
			*list = append(*list, fact{name, value})
		}
	}
	if !r.Start.IsZero() {
		add(&p.Facts, "started", r.Start.Format(timeFormat))
	}
	if d := r.length(); d > 0 {
		add(&p.Facts, "took", chart.Span(d))
	}
	if n := exchanges(r); n > 0 {
		add(&p.Facts, "exchanges", chart.Count(n))
	}
	add(&p.Facts, "seed", strconv.FormatUint(r.Seed, 10))
	add(&p.Facts, "exit code", strconv.Itoa(p.Verdict.Code))

	add(&p.Provenance, "redlane", r.Redlane)
	add(&p.Provenance, "Go", r.Host.Go)
	add(&p.Provenance, "system", r.Host.OS)
	cpu := r.Host.CPU
	if r.Host.Cores > 0 {
		cpu = strings.TrimPrefix(cpu+", "+plural(uint64(r.Host.Cores), "core"), ", ")
	}
	add(&p.Provenance, "processor", cpu)
	if !r.Start.IsZero() {
		add(&p.Provenance, "started", r.Start.Format(timeFormat))
	}
	if !r.End.IsZero() {
		add(&p.Provenance, "ended", r.End.Format(timeFormat))
	}
	add(&p.Provenance, "seed", strconv.FormatUint(r.Seed, 10))
	add(&p.Provenance, "scenario", r.File)
	add(&p.Provenance, "report schema", strconv.Itoa(Schema))
}

func stateClass(s State) string {
	return "is-" + strings.ToLower(strings.ReplaceAll(words[s].word, " ", "-"))
}

// checkWord names the state of one check.
func checkWord(s State) string {
	return [...]string{Passed: "held", NotProven: "not proven", Failed: "failed", Invalid: "invalid", Stopped: "stopped"}[s]
}

func newLedgerRow(l *traffic.Ledger) ledgerRow {
	row := ledgerRow{
		Stage: stage(l), Accepted: chart.Count(l.Accepted), Passed: chart.Count(l.Passed), Filtered: chart.Count(l.Filtered),
		SampledOut: chart.Count(l.SampledOut), Dropped: chart.Count(l.Lost()), Wrong: unexplained(l),
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(l.Dropped)) {
		reasons = append(reasons, chart.Count(l.Dropped[reason])+" "+reason)
	}
	row.Reasons = strings.Join(reasons, ", ")
	whole := float64(max(l.Accepted, l.Passed+l.Filtered+l.SampledOut+l.Lost()))
	part := func(class string, n uint64) {
		if n > 0 {
			row.Bar = append(row.Bar, segment{class, class + " " + chart.Count(n) + ", " + chart.Share(float64(n), whole), float64(n) / whole})
		}
	}
	part("passed", l.Passed)
	part("filtered", l.Filtered)
	part("sampled-out", l.SampledOut)
	part("dropped", l.Lost())
	if sum := l.Passed + l.Filtered + l.SampledOut + l.Lost(); sum < l.Accepted {
		part("unexplained", l.Accepted-sum)
	}
	return row
}

// unexplained is the difference in the books of l in words, empty when there is none.
func unexplained(l *traffic.Ledger) string {
	if l.Balance() == nil {
		return ""
	}
	sum := l.Passed + l.Filtered + l.SampledOut + l.Lost()
	if sum < l.Accepted {
		return chart.Count(l.Accepted-sum) + " unexplained"
	}
	return chart.Count(sum-l.Accepted) + " too many"
}

func (p *page) traffic(r *Run, paint map[string]paint, tag func(string) laneTag) {
	all := edges(r)
	for _, e := range all[:min(len(all), mostFigures)] {
		p.Edges = append(p.Edges, edgeBlock{edge(e.Caller, e.Service), edgeFigure(r, e, paint)})
	}
	if n := len(all) - mostFigures; n > 0 {
		p.MoreEdges = plural(uint64(n), "quieter edge") + " without a fault not drawn; the table below has their totals."
	}
	for _, e := range all {
		for i, s := range e.Lanes {
			row := trafficRow{Lane: tag(s.Lane), Requests: chart.Count(s.Count), Errors: chart.Share(float64(s.Errors), float64(s.Count)), Bad: s.Errors > 0, Latency: s.cells()}
			if i == 0 {
				row.Edge = edge(e.Caller, e.Service)
			}
			p.Traffic = append(p.Traffic, row)
		}
	}
	p.MoreTraffic = more(len(p.Traffic), mostRows, "row")
	p.Traffic = p.Traffic[:min(len(p.Traffic), mostRows)]
}

func (p *page) faults(r *Run, tag func(string) laneTag) {
	p.MoreFaults = more(len(r.Faults), mostRows, "fault")
	all := edges(r)
	for i := range r.Faults[:min(len(r.Faults), mostRows)] {
		f := &r.Faults[i]
		row := faultRow{
			What: strings.TrimSpace(f.Kind + " " + f.What), Edge: edge(f.Caller, f.Service), Lane: tag(f.Lane),
			Window: chart.Span(f.From) + " – " + chart.Span(f.end(r.length())),
			Asked:  chart.Share(f.Asked, 1), Delivered: "–",
			Struck: chart.Count(f.Struck) + " of " + chart.Count(f.Looked),
		}
		if row.What == "" {
			row.What = f.name()
		}
		if f.Looked > 0 {
			row.Delivered = chart.Share(float64(f.Struck), float64(f.Looked))
		}
		on, eff := effects(r, all, f)
		for _, e := range eff {
			row.EffectOn = edge(on.Caller, on.Service)
			row.Effects = append(row.Effects, effectRow{tag(e.Lane), measured(e.Before), measured(e.During), measured(e.After)})
			p.Effects = true
		}
		p.Faults = append(p.Faults, row)
	}
}

func newReplay(r *Run, p *Replay, paint map[string]paint, tag func(string) laneTag) replayBlock {
	b := replayBlock{Name: p.name(), Lane: tag(p.Lane)}
	if p.Rate != "" {
		b.Facts = append(b.Facts, fact{"rate", p.Rate})
	}
	if p.Target != "" {
		b.Facts = append(b.Facts, fact{"target", p.Target})
	}
	b.Facts = append(b.Facts, fact{"asked", chart.Count(p.Asked)}, fact{"sent", chart.Count(p.Sent)},
		fact{"errors", chart.Count(p.Errors) + " (" + chart.Share(float64(p.Errors), float64(p.Sent)) + ")"})
	if p.LagLimit > 0 {
		b.Facts = append(b.Facts, fact{"lag limit (p99)", chart.Latency(p.LagLimit)})
	}
	b.Rows = []replayRow{
		{"latency from due", p.FromDue.cells()},
		{"latency from send", p.FromSend.cells()},
		{"lag", p.Lag.cells()},
	}
	var all uint64
	for i := range p.Answers {
		all += p.Answers[i].Count
	}
	for i := range p.Answers[:min(len(p.Answers), mostRows)] {
		a := &p.Answers[i]
		b.Answers = append(b.Answers, answerRow{a.Route, a.status(), chart.Count(a.Count), chart.Share(float64(a.Count), float64(all)), a.FromDue.cells()})
	}
	b.MoreAnswers = more(len(p.Answers), mostRows, "row")
	if len(p.Seconds) > 0 {
		f := replayFigure(r, p, paint[p.Lane].Class)
		b.Figure = &f
	}
	if len(p.CurveDue)+len(p.CurveSend) > 0 {
		f := curveFigure(p, paint[p.Lane].Class)
		b.Curve = &f
	}
	return b
}

func (p *page) lanes(r *Run, tag func(string) laneTag) {
	for i := range r.Lanes {
		l := &r.Lanes[i]
		row := laneRow{Edge: edge(l.Caller, l.Service), Color: tag(l.Color), Served: l.served(), Reason: reasonWords(l.Reason),
			Requests: chart.Count(l.Count), Escapes: chart.Count(l.Escapes), Bad: l.Escapes > 0}
		if !l.refused() {
			to := tag(l.Lane)
			row.To = &to
		}
		p.Lanes = append(p.Lanes, row)
	}
	slices.SortStableFunc(p.Lanes, func(a, b laneRow) int { return cmp.Compare(btoi(b.Bad), btoi(a.Bad)) }) // escapes first
	p.MoreLanes = more(len(p.Lanes), mostRows, "row")
	p.Lanes = p.Lanes[:min(len(p.Lanes), mostRows)]
}

func (l *Route) refused() bool {
	reason, ok := traffic.ParseLaneReason(l.Reason)
	return ok && reason.Refused()
}

// served is the lane that answered, or that none did.
func (l *Route) served() string {
	if l.refused() {
		return "refused"
	}
	return laneName(l.Lane)
}

// reasonWords writes a lane reason for people; an unknown one stays as it is.
func reasonWords(reason string) string {
	why, ok := traffic.ParseLaneReason(reason)
	if !ok {
		return reason
	}
	switch why {
	case traffic.LaneBaseline:
		return "uncoloured"
	case traffic.LaneMatched:
		return "its own lane"
	case traffic.LaneFallbackAbsent:
		return "fallback: not in the lane"
	case traffic.LaneFallbackUnhealthy:
		return "fallback: lane unhealthy"
	case traffic.LaneNotFound:
		return "not in the lane, no fallback"
	case traffic.LaneUnhealthy:
		return "lane unhealthy, no fallback"
	case traffic.LaneUnknown:
		return "no such lane"
	case traffic.LaneEscape:
		return "escape: caller of another lane"
	case traffic.LaneStress:
		return "escape: a replay's request without its colour"
	case traffic.LaneChallenge:
		return "asked for a lane ticket"
	}
	return reason
}

func (p *page) steps(r *Run) {
	if len(r.Steps) == 0 {
		return
	}
	f := stepsFigure(r)
	p.Steps = &f
	p.MoreSteps = more(len(r.Steps), mostRows, "step")
	for i := range r.Steps[:min(len(r.Steps), mostRows)] {
		s := &r.Steps[i]
		row := stepRow{Mark: outcomes[s.Outcome].mark, Actor: s.Actor, Text: s.name(), Planned: chart.Span(s.At), Outcome: string(s.Outcome), Detail: s.Detail, Actual: "–"}
		if s.For > 0 {
			row.Planned += " for " + chart.Span(s.For)
		}
		if s.Outcome != StepNotRun {
			row.Actual = chart.Span(s.Began)
			if s.Ended >= s.Began {
				row.Actual += " – " + chart.Span(s.Ended)
			}
		}
		p.StepRows = append(p.StepRows, row)
	}
}
