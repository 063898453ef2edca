package chart

import (
	"math"
	"strconv"
)

// A Curve is latencies over quantiles, the far tail stretched: each nine takes the same room, x being
// −log10(1−q). The X of a point is q, from 0 to 1.
type Curve struct {
	Label  string
	Height float64
	Lines  []Line
}

const maxNines = 6

// SVG draws c as wide as w.
func (c *Curve) SVG(w float64) string {
	p := Panel{Title: "latency", Y: Nanoseconds, Height: c.Height}
	nines := 1.0
	lines := make([]Line, len(c.Lines))
	for i, l := range c.Lines {
		pts := make([]Point, 0, len(l.Points))
		for _, pt := range l.Points {
			if x := nine(pt.X); finite(pt.Y) && finite(x) && x <= maxNines {
				pts = append(pts, Point{x, pt.Y})
				nines = max(nines, x)
			}
		}
		l.Points = pts
		lines[i] = l
	}
	nines = math.Ceil(nines - 1e-9)
	y, ticks, title := p.axis(lines)
	x := scale{max: nines, from: leftRoom, to: w - 24}
	beside := w >= narrow
	if beside {
		x.to = w - labelRoom
	}
	var s svg
	s.text("title", "start", leftRoom, 13, title)
	top := float64(titleRoom)
	if !beside {
		top = legend(&s, lines, leftRoom, x.to, top)
	}
	bottom := top + c.Height
	y.from, y.to = bottom, top
	for _, v := range ticks {
		class := "grid"
		if v == ticks[0] {
			class = "axis"
		}
		s.line(class, x.from, y.at(v), x.to, y.at(v))
		s.text("tick", "end", x.from-6, y.at(v)+4, p.tick(v))
	}
	for _, q := range c.ticks(nines, x.to-x.from) {
		at := x.at(nine(q))
		s.line("grid", at, top, at, bottom+4)
		s.text("tick", "middle", at, bottom+17, quantile(q))
	}
	for _, l := range lines {
		s.through(l, &x, &y)
	}
	if beside {
		names(&s, lines, &y, x.to+nameGap, w, top, bottom)
		for _, l := range lines {
			for _, pt := range l.Points {
				s.element("circle", "tip", ` cx="`+num(x.at(pt.X))+`" cy="`+num(y.at(pt.Y))+`" r="5"`, l.Name+" "+quantile(1-math.Pow(10, -pt.X))+" "+p.tick(math.Round(pt.Y)))
			}
		}
	}
	var out svg
	out.open(w, bottom+axisRoom, c.Label)
	out.b.WriteString(s.b.String())
	return out.close()
}

func nine(q float64) float64 { return -math.Log10(1 - q) }

// ticks are the quantiles worth a line: the median, 75% where there is room, then one for each nine.
func (c *Curve) ticks(nines, room float64) []float64 {
	ticks := []float64{0, 0.5}
	if room/nines > 150 {
		ticks = append(ticks, 0.75)
	}
	for n := 1.0; n <= nines; n++ {
		ticks = append(ticks, 1-math.Pow(10, -n))
	}
	if room/nines < 100 {
		ticks = ticks[1:] // 0 and 50% would touch
	}
	return ticks
}

// quantile writes q as people name it: p50, p99.9; the least is min.
func quantile(q float64) string {
	if q < 1e-9 {
		return "min"
	}
	return "p" + strconv.FormatFloat(100*q, 'g', 8, 64)
}

// through draws l straight from point to point.
func (s *svg) through(l Line, x, y *scale) {
	d := ""
	for i, p := range l.Points {
		if i == 0 {
			d = "M"
		} else {
			d += "L"
		}
		d += num(x.at(p.X)) + " " + num(y.at(p.Y))
	}
	if d == "" {
		return
	}
	s.element("path", l.Style.class()+" "+l.Class, ` d="`+d+`"`, "")
	if last := l.Points[len(l.Points)-1]; l.Mark != "" {
		s.text("mark "+l.Class, "middle", x.at(last.X), y.at(last.Y)+4, l.Mark)
	}
}
