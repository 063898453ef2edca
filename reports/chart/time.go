package chart

import (
	"math"
	"strings"
	"time"
)

// Measure is what the values of an axis are.
type Measure uint8

// The measures. Latencies are nanoseconds; their axis turns logarithmic when they spread widely.
const (
	Number Measure = iota
	Nanoseconds
)

// Style is how a line is drawn. It tells lines apart where colour cannot.
type Style uint8

// The styles.
const (
	Solid Style = iota
	Dashed
	Steps // a value holds for its whole second
	Area  // Steps, filled down to zero
	Plan  // Steps, dashed: what was asked for
)

// A Point is one value. X is in seconds on a time axis, a share from 0 to 1 on a quantile axis. A Y that is
// not finite is a gap.
type Point struct{ X, Y float64 }

// A Line is a series of points, ascending in X.
type Line struct {
	Name   string // in the legend and in tooltips
	Class  string // CSS class that gives its colour
	Mark   string // a glyph drawn at its end and in the legend, tells it apart without colour
	Style  Style
	Points []Point
}

// A Rule is a level that a panel's values are measured against.
type Rule struct {
	Y     float64
	Label string
}

// A Panel is one plot of a Time figure.
type Panel struct {
	Title  string
	Height float64 // of the plot alone
	Y      Measure
	Lines  []Line
	Rule   *Rule // drawn when it lies within twice the range of the data
}

// A Time is panels one above the other on the same time axis, in seconds.
type Time struct {
	Label    string // what a screen reader says
	From, To float64
	Shades   []Shade
	Panels   []Panel
}

const (
	rightRoom = 20  // for half of the last tick of the x axis
	leftRoom  = 62  // for the ticks of the y axis
	narrow    = 600 // a figure below this width has its legend above and no tooltips
	labelRoom = 124 // for the names of lines right of the plot
	nameGap   = 14  // between the plot and those names, for the mark of a last point
	panelGap  = 10
	titleRoom = 20
	axisRoom  = 22
)

// SVG draws t as wide as w.
func (t *Time) SVG(w float64) string {
	if !(t.To > t.From) {
		t.To = t.From + 1
	}
	d := timeDrawing{Time: t, w: w, x: scale{min: t.From, max: t.To, from: leftRoom, to: w - rightRoom}, beside: w >= narrow}
	if d.beside {
		d.x.to = w - labelRoom
	}
	for i := range t.Panels {
		d.panel(i)
	}
	h := d.out.timeAxis(&d.x, d.y)
	var s svg
	s.open(w, h, t.Label)
	s.b.WriteString(d.out.b.String())
	return s.close()
}

type timeDrawing struct {
	*Time
	w      float64
	y      float64 // everything above is drawn
	x      scale
	beside bool // names of lines stand right of the plot
	out    svg
}

func (d *timeDrawing) panel(i int) {
	p := &d.Panels[i]
	s := &d.out
	if i > 0 {
		d.y += panelGap
	}
	lines := make([]Line, len(p.Lines))
	stretch := 0.0
	for k, l := range p.Lines {
		var each float64
		l.Points, each = thin(l.Points, d.From, d.To, d.x.to-d.x.from, p.Y == Nanoseconds)
		stretch = max(stretch, each)
		lines[k] = l
	}
	y, ticks, title := p.axis(lines)
	if how := "mean"; stretch > 1 && title != "" {
		if p.Y == Nanoseconds {
			how = "worst"
		}
		title += ", " + how + " of every " + Span(time.Duration(stretch*1e9))
	}
	if title != "" {
		s.text("title", "start", leftRoom, d.y+13, fit(title, d.x.to-leftRoom))
		d.y += titleRoom
	}
	beside := d.beside && float64(len(lines))*14 <= p.Height+10
	if !beside {
		d.y = legend(s, lines, leftRoom, d.x.to, d.y)
	}
	if i == 0 {
		d.y = d.out.windowNames(d.Shades, &d.x, d.y)
	}
	top, bottom := d.y, d.y+p.Height
	y.from, y.to = bottom, top
	for _, sh := range d.Shades {
		if x1, x2, ok := sh.on(&d.x); ok {
			s.rect("shade "+sh.Class, x1, top, x2-x1, p.Height, sh.Tip)
		}
	}
	for _, v := range ticks {
		class := "grid"
		if v == ticks[0] {
			class = "axis"
		}
		s.line(class, d.x.from, y.at(v), d.x.to, y.at(v))
		s.text("tick", "end", d.x.from-6, y.at(v)+4, p.tick(v))
	}
	if p.Rule != nil && p.Rule.Y <= y.max && p.Rule.Y >= y.min {
		s.line("rule", d.x.from, y.at(p.Rule.Y), d.x.to, y.at(p.Rule.Y))
		under := y.at(p.Rule.Y) - 5
		if under < top+10 {
			under = y.at(p.Rule.Y) + 14
		}
		s.text("rulename", "end", d.x.to-4, under, p.Rule.Label)
	}
	for _, l := range lines {
		s.series(l, &d.x, &y, bottom)
	}
	if beside {
		names(s, lines, &y, d.x.to+nameGap, d.w, top, bottom)
	}
	if d.beside {
		d.tips(lines, p.Y, top, p.Height)
	}
	d.y = bottom
}

// axis returns the y axis of p, its ticks, and the title with what the axis adds to it.
func (p *Panel) axis(lines []Line) (y scale, ticks []float64, title string) {
	lo, hi := math.Inf(1), 0.0
	for _, l := range lines {
		for _, pt := range l.Points {
			if finite(pt.Y) && pt.Y > 0 {
				lo, hi = min(lo, pt.Y), max(hi, pt.Y)
			}
		}
	}
	if p.Rule != nil && p.Rule.Y > 0 && p.Rule.Y <= 2*hi {
		lo, hi = min(lo, p.Rule.Y), max(hi, p.Rule.Y)
	}
	n := int(max(p.Height/36, 1))
	title = p.Title
	if p.Y == Nanoseconds && hi > 30*lo {
		ticks = decades(lo, hi, n)
		title += " (log scale)"
		return scale{min: ticks[0], max: max(ticks[len(ticks)-1], hi), log: true}, ticks, title
	}
	ticks = linear(hi, n)
	return scale{max: ticks[len(ticks)-1]}, ticks, title
}

func (p *Panel) tick(v float64) string {
	if p.Y == Nanoseconds {
		return tickLatency(v)
	}
	return tickCount(v)
}

// tips lays an unseen column over each moment, whose tooltip reads out all lines there.
func (d *timeDrawing) tips(lines []Line, m Measure, top, height float64) {
	said := make(map[float64]*strings.Builder)
	var order []float64
	var width float64 = 1
	for _, l := range lines {
		for i, pt := range l.Points {
			if !finite(pt.Y) {
				continue
			}
			if i > 0 {
				width = max(width, pt.X-l.Points[i-1].X)
			}
			b := said[pt.X]
			if b == nil {
				b = new(strings.Builder)
				b.WriteString("at " + Span(time.Duration(pt.X*1e9)))
				said[pt.X] = b
				order = append(order, pt.X)
			}
			b.WriteString("\n" + l.Name + " ")
			if m == Nanoseconds {
				b.WriteString(Latency(time.Duration(pt.Y)))
			} else {
				b.WriteString(tickCount(math.Round(pt.Y*10) / 10))
			}
		}
	}
	if len(order) > 240 {
		return
	}
	for _, x := range order {
		x1, x2 := d.x.at(x), d.x.at(x+width)
		d.out.rect("tip", x1, top, x2-x1, height, said[x].String())
	}
}

// thin reduces points to at most one for two pixels: the worst of each stretch for latencies, the mean for
// rates, so that the eye sees no better than what was measured. each is the length of a stretch, 0 when
// nothing was merged.
func thin(points []Point, from, to, pixels float64, worst bool) (out []Point, each float64) {
	room := int(pixels / 2)
	if len(points) <= room {
		return points, 0
	}
	each = math.Ceil((to - from) / float64(room))
	var n float64
	for _, p := range points {
		x := from + math.Floor((p.X-from)/each)*each
		if len(out) == 0 || out[len(out)-1].X != x {
			out, n = append(out, Point{x, math.NaN()}), 0
		}
		last := &out[len(out)-1]
		switch {
		case !finite(p.Y):
		case math.IsNaN(last.Y):
			last.Y, n = p.Y, 1
		case worst:
			last.Y = max(last.Y, p.Y)
		default:
			n++
			last.Y += (p.Y - last.Y) / n
		}
	}
	return out, each
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
