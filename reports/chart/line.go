package chart

import (
	"cmp"
	"slices"
	"strings"
)

// series draws l. Each X stands for the stretch up to the next one: Solid and Dashed lines go through its
// middle, Steps and Area along it.
func (s *svg) series(l Line, x, y *scale, bottom float64) {
	wide := 1.0
	for i := 1; i < len(l.Points); i++ {
		if d := l.Points[i].X - l.Points[i-1].X; i == 1 || d < wide {
			wide = d
		}
	}
	var d, fill strings.Builder
	var lastX, lastY float64
	open := false // a stretch without gaps is being drawn
	for i, p := range l.Points {
		if !finite(p.Y) {
			open = false
			continue
		}
		px, py := x.at(p.X+wide/2), y.at(p.Y)
		joined := open && (p.X-l.Points[i-1].X) <= wide*1.5
		switch l.Style {
		case Steps, Area, Plan:
			x1, x2 := x.at(p.X), x.at(p.X+wide)
			if joined {
				d.WriteString("V" + num(py) + "H" + num(x2))
			} else {
				d.WriteString("M" + num(x1) + " " + num(py) + "H" + num(x2))
			}
			if l.Style == Area {
				fill.WriteString("M" + num(x1) + " " + num(bottom) + "V" + num(py) + "H" + num(x2) + "V" + num(bottom) + "z")
			}
			px = x2
		default:
			next := i+1 < len(l.Points) && finite(l.Points[i+1].Y)
			switch {
			case joined:
				d.WriteString("L" + num(px) + " " + num(py))
			case !next: // alone between gaps: a dot
				d.WriteString("M" + num(px-1) + " " + num(py) + "h2")
			default:
				d.WriteString("M" + num(px) + " " + num(py))
			}
		}
		open, lastX, lastY = true, px, py
	}
	if d.Len() == 0 {
		return
	}
	if fill.Len() > 0 {
		s.element("path", "area "+l.Class, ` d="`+fill.String()+`"`, "")
	}
	s.element("path", l.Style.class()+" "+l.Class, ` d="`+d.String()+`"`, "")
	if l.Mark != "" {
		s.text("mark "+l.Class, "middle", lastX, lastY+4, l.Mark)
	}
}

func (s Style) class() string {
	switch s {
	case Dashed:
		return "line dashed"
	case Steps:
		return "line steps"
	case Plan:
		return "line steps dashed"
	}
	return "line"
}

// names writes the name of each line right of the plot, at the height of its last value, moved just far
// enough apart to be read.
func names(s *svg, lines []Line, y *scale, x, right, top, bottom float64) {
	const apart = 14
	type name struct {
		y float64
		l *Line
	}
	var all []name
	for i := range lines {
		for k := len(lines[i].Points) - 1; k >= 0; k-- {
			if p := lines[i].Points[k]; finite(p.Y) {
				all = append(all, name{y.at(p.Y), &lines[i]})
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b name) int { return cmp.Compare(a.y, b.y) })
	for i := range all { // down, so that none covers the one above
		if i == 0 {
			all[i].y = max(all[i].y, top)
		} else {
			all[i].y = max(all[i].y, all[i-1].y+apart)
		}
	}
	for i := len(all) - 1; i >= 0; i-- { // and up again from the foot
		if i == len(all)-1 {
			all[i].y = min(all[i].y, bottom)
		} else {
			all[i].y = min(all[i].y, all[i+1].y-apart)
		}
	}
	for _, n := range all {
		label := n.l.Name
		if n.l.Mark != "" {
			label = n.l.Mark + " " + label
		}
		s.text("name "+n.l.Class, "start", x, n.y+4, fit(label, right-x))
	}
}

// legend writes a sample and the name of each line, in as many rows as they need, and returns the y below.
func legend(s *svg, lines []Line, left, right, y float64) float64 {
	x := left
	const sample = 20
	drawn := false
	for _, l := range lines {
		name := l.Name
		if l.Mark != "" {
			name = l.Mark + " " + name
		}
		name = fit(name, right-left-sample-6)
		need := sample + 6 + width(name)
		if x > left && x+need > right {
			x, y = left, y+lineHeight+1
		}
		class := l.Style.class()
		if l.Style == Area {
			s.rect("area "+l.Class, x, y+4, sample, 8, "")
		}
		s.line(class+" "+l.Class, x, y+8, x+sample, y+8)
		s.text("name "+l.Class, "start", x+sample+6, y+12, name)
		x += need + 14
		drawn = true
	}
	if drawn {
		y += lineHeight + 5
	}
	return y
}
