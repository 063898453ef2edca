package reports

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/redlane/redlane/reports/chart"
)

// Widths at which every figure is drawn. The page shows one of them: text in a figure that is scaled to a
// phone cannot be read, and a page without script cannot draw again.
const (
	wideFigure   = 960
	narrowFigure = 372
)

// A figure is one drawing at both widths.
type figure struct{ Wide, Narrow template.HTML }

func draw(svg func(width float64) string) figure {
	return figure{template.HTML(svg(wideFigure)), template.HTML(svg(narrowFigure))}
}

// edgeFigure draws latency, rate and errors of an edge, its lanes over one another.
func edgeFigure(r *Run, e *edgeView, paint map[string]paint) figure {
	length := r.length().Seconds()
	latency := chart.Panel{Title: "latency of each second", Y: chart.Nanoseconds, Height: 176}
	rate := chart.Panel{Title: "requests per second", Height: 48}
	failed := chart.Panel{Title: "errors per second", Height: 36}
	for _, s := range e.Lanes {
		p, name := paint[s.Lane], laneName(s.Lane)
		line := func(suffix string, style chart.Style, zero float64, value func(*Second) float64) chart.Line {
			return chart.Line{Name: name + suffix, Class: p.Class, Mark: p.Mark, Style: style, Points: perSecond(len(s.Seconds), length, zero,
				func(i int) int { return s.Seconds[i].Second },
				func(i int) float64 { return value(&s.Seconds[i]) })}
		}
		latency.Lines = append(latency.Lines,
			line(" p99", chart.Solid, math.NaN(), func(s *Second) float64 { return ns(s.P99) }),
			line(" p50", chart.Dashed, math.NaN(), func(s *Second) float64 { return ns(s.P50) }))
		rate.Lines = append(rate.Lines, line("", chart.Steps, 0, func(s *Second) float64 { return float64(s.Count) }))
		if s.Errors > 0 {
			failed.Lines = append(failed.Lines, line("", chart.Steps, 0, func(s *Second) float64 { return float64(s.Errors) }))
		}
	}
	t := chart.Time{
		Label:  "Latency and rate over time, " + edge(e.Caller, e.Service),
		To:     length,
		Shades: shades(r, func(f *Fault) bool { return f.on(e.Caller, e.Service) }),
		Panels: []chart.Panel{latency, rate},
	}
	if len(failed.Lines) > 0 {
		t.Panels = append(t.Panels, failed)
	}
	return draw(t.SVG)
}

// replayFigure draws what a replay asked for, what it got, and how late it was.
func replayFigure(r *Run, p *Replay, class string) figure {
	length := r.length().Seconds()
	line := func(name, class string, style chart.Style, zero float64, value func(*Tick) float64) chart.Line {
		return chart.Line{Name: name, Class: class, Style: style, Points: perSecond(len(p.Seconds), length, zero,
			func(i int) int { return p.Seconds[i].Second },
			func(i int) float64 { return value(&p.Seconds[i]) })}
	}
	gap := math.NaN()
	t := chart.Time{
		Label:  "Rate, errors, latency and lag over time, " + p.name(),
		To:     length,
		Shades: shades(r, func(f *Fault) bool { return f.Lane == p.Lane }),
		Panels: []chart.Panel{
			{Title: "requests per second", Height: 96, Lines: []chart.Line{
				line("sent", class, chart.Area, 0, func(t *Tick) float64 { return float64(t.Sent) }),
				line("asked", "ink", chart.Plan, 0, func(t *Tick) float64 { return float64(t.Asked) }),
			}},
		},
	}
	if p.Errors > 0 {
		t.Panels = append(t.Panels, chart.Panel{Title: "errors per second", Height: 36, Lines: []chart.Line{
			line("errors", "bad", chart.Area, 0, func(t *Tick) float64 { return float64(t.Errors) }),
		}})
	}
	t.Panels = append(t.Panels, chart.Panel{Title: "latency p99 of each second", Y: chart.Nanoseconds, Height: 140, Lines: []chart.Line{
		line("from due", class, chart.Solid, gap, func(t *Tick) float64 { return ns(t.FromDue.P99) }),
		line("from send", "ink", chart.Dashed, gap, func(t *Tick) float64 { return ns(t.FromSend.P99) }),
	}})
	lag := chart.Panel{Title: "lag: from due to send", Y: chart.Nanoseconds, Height: 72, Lines: []chart.Line{
		line("p99", class, chart.Solid, gap, func(t *Tick) float64 { return ns(t.Lag.P99) }),
		line("max", "ink", chart.Dashed, gap, func(t *Tick) float64 { return ns(t.Lag.Max) }),
	}}
	if p.LagLimit > 0 {
		lag.Rule = &chart.Rule{Y: float64(p.LagLimit), Label: "limit for p99 " + chart.Latency(p.LagLimit)}
	}
	t.Panels = append(t.Panels, lag)
	return draw(t.SVG)
}

func curveFigure(p *Replay, class string) figure {
	c := chart.Curve{Label: "Latency by quantile, " + p.name(), Height: 190}
	add := func(name, class string, style chart.Style, q []Quantile) {
		if len(q) == 0 {
			return
		}
		l := chart.Line{Name: name, Class: class, Style: style}
		for _, one := range q {
			l.Points = append(l.Points, chart.Point{X: one.Q, Y: float64(one.Value)})
		}
		c.Lines = append(c.Lines, l)
	}
	add("from due", class, chart.Solid, p.CurveDue)
	add("from send", "ink", chart.Dashed, p.CurveSend)
	return draw(c.SVG)
}

func heatFigure(r *Run, h *Heat) figure {
	c := chart.Heat{
		Label: "Latency over time, " + h.Title, To: r.length().Seconds(), Height: 200,
		First: h.From.Seconds(), Width: h.Width.Seconds(), Cells: h.Cells,
		Shades: shades(r, func(f *Fault) bool { return f.Lane == h.Lane }),
	}
	for _, b := range h.Bounds {
		c.Bounds = append(c.Bounds, float64(b))
	}
	return draw(c.SVG)
}

// outcomes of steps, as the timeline shows them.
var outcomes = map[Outcome]struct{ class, mark string }{
	StepDone:   {"done", "✓"},
	StepFailed: {"failed", "✕"},
	StepCut:    {"cut", "■"},
	StepNotRun: {"notrun", "○"},
}

func stepsFigure(r *Run) figure {
	g := chart.Gantt{Label: "Timeline of the steps", To: r.length().Seconds()}
	for i := range r.Steps[:min(len(r.Steps), mostRows)] {
		s := &r.Steps[i]
		o, ok := outcomes[s.Outcome]
		if !ok {
			o.class, o.mark = "other", "·"
		}
		b := chart.Bar{Actor: s.Actor, Text: s.name(), Class: o.class, Mark: o.mark,
			PlanFrom: s.At.Seconds(), PlanTo: (s.At + s.For).Seconds(), From: s.Began.Seconds(), To: s.Ended.Seconds()}
		switch {
		case s.Outcome == StepNotRun:
			b.To = b.From - 1
		case s.Ended < s.Began:
			b.To = g.To
		}
		g.To = max(g.To, b.PlanTo, b.To)
		tip := []string{s.name(), "planned at " + chart.Span(s.At)}
		if s.For > 0 {
			tip[1] += " for " + chart.Span(s.For)
		}
		if s.Outcome != StepNotRun {
			tip = append(tip, fmt.Sprintf("began %s, ended %s", chart.Span(s.Began), chart.Span(time.Duration(b.To*1e9))))
		}
		tip = append(tip, string(s.Outcome))
		if s.Detail != "" {
			tip = append(tip, s.Detail)
		}
		b.Tip = strings.Join(tip, "\n")
		g.Bars = append(g.Bars, b)
	}
	return draw(g.SVG)
}

// shades are the windows of all faults; those that own reports true for are labelled, the others faint.
func shades(r *Run, own func(*Fault) bool) []chart.Shade {
	length := r.length()
	var out []chart.Shade
	for i := range r.Faults[:min(len(r.Faults), mostRows)] {
		f := &r.Faults[i]
		s := chart.Shade{From: f.From.Seconds(), To: f.end(length).Seconds(), Class: "elsewhere", Tip: f.label() + " on " + edge(f.Caller, f.Service)}
		if own(f) {
			s.Class, s.Label = "here", f.label()
		}
		out = append(out, s)
	}
	return out
}

// label is f in a few words: "latency 50 ms, lane red".
func (f *Fault) label() string {
	s := strings.TrimSpace(f.Kind + " " + f.What)
	if s == "" {
		s = f.name()
	}
	return s + ", lane " + laneName(f.Lane)
}

// perSecond turns n values in order of their second into one point for every second of the run; a second
// without a value has the value none.
func perSecond(n int, length, none float64, second func(int) int, value func(int) float64) []chart.Point {
	if n == 0 {
		return nil
	}
	const most = 100_000 // more than a day of seconds; a wild second number must not fill the memory
	points := make([]chart.Point, 0, n)
	for i := range n {
		x := float64(second(i))
		if x < 0 || x >= max(length, 1) {
			continue
		}
		for k := len(points); k > 0 && points[k-1].X+1 < x && len(points) < most; k = len(points) {
			points = append(points, chart.Point{X: points[k-1].X + 1, Y: none})
		}
		points = append(points, chart.Point{X: x, Y: value(i)})
	}
	return points
}

// ns is d as a value on an axis; what was not measured is a gap.
func ns(d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return float64(d)
}
