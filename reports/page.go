package reports

import (
	"html/template"
	"strings"
)

const timeFormat = "2006-01-02 15:04:05 UTC"

// mostRows and mostFigures bound the page: what goes beyond stands in report.json, and the page says so.
const (
	mostRows    = 200
	mostFigures = 8
)

// A page is what page.html shows, every number already a word.
type page struct {
	CSS     template.CSS
	Title   string
	Verdict Verdict
	State   string // CSS class of the verdict
	Mark    string
	Reasons []string // further to the sentence
	Facts   []fact
	Repeat  string

	Warnings, Notes []string

	Expect      []checkRow
	Wrong, Held []checkRow // the other checks
	Drills      []Drill
	Ledgers     []ledgerRow
	Edges       []edgeBlock
	Traffic     []trafficRow
	Faults      []faultRow
	Effects     bool // some fault has an effect to show
	Replays     []replayBlock
	Lanes       []laneRow
	Heats       []heatBlock
	Invariants  []invariantRow
	Steps       *figure
	StepRows    []stepRow
	Provenance  []fact
	Text        string
	Files       []File

	// What did not fit, in a sentence; empty when all did.
	MoreExpect, MoreChecks, MoreEdges, MoreTraffic, MoreFaults, MoreReplays, MoreLanes, MoreHeats, MoreInvariants, MoreSteps string
}

type (
	fact     struct{ Name, Value string }
	checkRow struct{ State, Mark, Word, Name, Got, Why string }
	segment  struct {
		Class, Tip string
		Share      float64 // flex-grow
	}
	ledgerRow struct {
		Stage, Accepted, Passed, Filtered, SampledOut, Dropped string
		Reasons                                                string
		Wrong                                                  string // the unexplained difference, empty when balanced
		Bar                                                    []segment
	}
	laneTag   struct{ Class, Mark, Name string }
	edgeBlock struct {
		Name   string
		Figure figure
	}
	trafficRow struct {
		Edge             string // empty when as above
		Lane             laneTag
		Requests, Errors string
		Bad              bool
		Latency          []string
	}
	effectRow struct {
		Lane                  laneTag
		Before, During, After string
	}
	faultRow struct {
		What, Edge, Window, Asked, Delivered, Struck string
		Lane                                         laneTag
		EffectOn                                     string
		Effects                                      []effectRow
	}
	replayBlock struct {
		Name  string
		Lane  laneTag
		Facts []fact
		Rows  []replayRow

		Answers     []answerRow
		MoreAnswers string

		Figure *figure // over time
		Curve  *figure // by quantile
	}
	answerRow struct {
		Route, Status, Count, Share string
		Latency                     []string
	}
	replayRow struct {
		Name    string
		Latency []string
	}
	laneRow struct {
		Edge, Served, Reason, Requests, Escapes string
		Color                                   laneTag
		To                                      *laneTag
		Bad                                     bool
	}
	heatBlock struct {
		Title  string
		Lane   laneTag
		Figure figure
	}
	invariantRow struct {
		State, Mark, Service, Name, Detail string
		Lane                               laneTag
	}
	stepRow struct{ Mark, Actor, Text, Planned, Actual, Outcome, Detail string }
)

func newPage(r *Run, v Verdict, checks []Check) *page {
	paint := palette(r)
	tag := func(lane string) laneTag { return laneTag{paint[lane].Class, paint[lane].Mark, laneName(lane)} }
	p := &page{
		CSS: template.CSS(pageCSS), Title: r.Scenario, Verdict: v, Mark: wordMark(v.Word),
		State: "is-" + strings.ToLower(strings.ReplaceAll(v.Word, " ", "-")), Repeat: r.Repeat,
		Warnings: r.Warnings, Notes: r.Notes, Text: r.Text, Files: r.Files, Drills: r.Drills,
	}
	if p.Title == "" {
		p.Title = "A run without a name"
	}
	p.Reasons = v.further()
	p.facts(r)
	p.checks(r, checks)
	for i := range r.Ledgers {
		p.Ledgers = append(p.Ledgers, newLedgerRow(&r.Ledgers[i]))
	}
	p.traffic(r, paint, tag)
	p.faults(r, tag)
	p.MoreReplays = more(len(r.Replays), mostFigures, "replay")
	for i := range r.Replays[:min(len(r.Replays), mostFigures)] {
		p.Replays = append(p.Replays, newReplay(r, &r.Replays[i], paint, tag))
	}
	p.lanes(r, tag)
	p.MoreHeats = more(len(r.Heats), mostFigures, "heat map")
	for i := range r.Heats[:min(len(r.Heats), mostFigures)] {
		if h := &r.Heats[i]; len(h.Cells) > 0 && len(h.Bounds) > 0 {
			p.Heats = append(p.Heats, heatBlock{h.Title, tag(h.Lane), heatFigure(r, h)})
		}
	}
	p.MoreInvariants = more(len(r.Invariants), mostRows, "invariant")
	for _, v := range r.Invariants[:min(len(r.Invariants), mostRows)] {
		s := Passed
		if !v.OK {
			s = Failed
		}
		p.Invariants = append(p.Invariants, invariantRow{stateClass(s), words[s].mark, v.Service, v.Name, v.Detail, tag(v.Lane)})
	}
	p.steps(r)
	return p
}
