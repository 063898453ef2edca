package chart

import "slices"

// A Bar is one thing that was done: an outline for when it was planned, filled for when it was.
type Bar struct {
	Actor            string // the row it stands in
	Text             string
	Class            string // CSS class of what became of it
	Mark             string // the same without colour
	PlanFrom, PlanTo float64
	From, To         float64 // seconds; To before From draws only the plan
	Tip              string
}

// A Gantt shows who did what when, one row for each actor and no two bars of a row over one another.
type Gantt struct {
	Label    string
	From, To float64
	Bars     []Bar
}

const (
	barHeight = 22
	barGap    = 6
)

// SVG draws g as wide as w.
func (g *Gantt) SVG(w float64) string {
	if !(g.To > g.From) {
		g.To = g.From + 1
	}
	x := scale{min: g.From, max: g.To, from: 150, to: w - rightRoom}
	above := w < narrow // too narrow for names left of the bars
	if above {
		x.from = 16 // half of the first tick's text
	}
	var s svg
	y := 2.0
	for _, row := range g.rows(&x) {
		if above {
			s.text("title", "start", 0, y+12, fit(row.actor, w))
			y += 18
		} else {
			s.text("actor", "start", 0, y+15, fit(row.actor, x.from-10))
		}
		for _, track := range row.tracks {
			for _, b := range track {
				s.bar(b, y)
			}
			y += barHeight + barGap
		}
		s.line("grid", 0, y-barGap/2, w, y-barGap/2)
		y += barGap
	}
	end := s.timeAxis(&x, y)
	var out svg
	out.open(w, end, g.Label)
	out.b.WriteString(s.b.String())
	return out.close()
}

// A placed bar knows where it and its text stand.
type placed struct {
	*Bar
	plan1, plan2 float64
	x1, x2       float64 // x2 < x1 when only the plan is drawn
	text         string
	anchor       string
	textAt       float64
	left, right  float64 // all of it
}

// place puts the text into the bar where it fits, else right of it, else left, else cut short inside.
func (b *Bar) place(x *scale) placed {
	p := placed{Bar: b, text: b.Mark + " " + b.Text, anchor: "start", plan1: x.at(b.PlanFrom), plan2: x.at(b.PlanTo), x2: -1}
	planned := b.PlanTo > b.PlanFrom
	p.left, p.right = p.plan1, p.plan2
	if b.To >= b.From {
		p.x1, p.x2 = x.at(b.From), x.at(b.To)
		if !planned {
			p.left, p.right = p.x1, p.x2
		}
		p.left, p.right = min(p.left, p.x1), max(p.right, p.x2)
	}
	switch need := width(p.text) + 14; {
	case need <= p.right-p.left:
		p.textAt = p.left + 7
	case p.right+need <= x.to:
		p.textAt = p.right + 7
		p.right += need
	case x.from <= p.left-need:
		p.textAt, p.anchor = p.left-7, "end"
		p.left -= need
	default:
		p.text = fit(p.text, x.to-x.from-14)
		p.textAt = min(p.left+7, x.to-width(p.text)-7)
		p.left, p.right = min(p.left, p.textAt), max(p.right, p.textAt+width(p.text))
	}
	return p
}

func (s *svg) bar(p placed, y float64) {
	if p.PlanTo > p.PlanFrom {
		s.rect("plan", p.plan1, y, max(p.plan2-p.plan1, 2), barHeight, p.Tip)
	}
	if p.x2 >= p.x1 {
		s.rect("bar "+p.Class, p.x1, y+4, max(p.x2-p.x1, 2), barHeight-8, p.Tip)
	}
	s.text("bartext", p.anchor, p.textAt, y+15, p.text)
}

type ganttRow struct {
	actor  string
	tracks [][]placed
}

// rows groups the bars by actor, in order of appearance, and puts bars that would meet on tracks of their own.
func (g *Gantt) rows(x *scale) []ganttRow {
	var rows []ganttRow
	index := make(map[string]int)
	for n := range g.Bars {
		b := &g.Bars[n]
		i, ok := index[b.Actor]
		if !ok {
			i = len(rows)
			index[b.Actor] = i
			rows = append(rows, ganttRow{actor: b.Actor})
		}
		r, p := &rows[i], b.place(x)
		k := slices.IndexFunc(r.tracks, func(track []placed) bool {
			return !slices.ContainsFunc(track, func(o placed) bool { return p.left < o.right+4 && o.left < p.right+4 })
		})
		if k < 0 {
			k = len(r.tracks)
			r.tracks = append(r.tracks, nil)
		}
		r.tracks[k] = append(r.tracks[k], p)
	}
	return rows
}
