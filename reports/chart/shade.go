package chart

// A Shade is a window of time in which something was different.
type Shade struct {
	From, To float64
	Class    string // CSS class of the window
	Label    string // written above the window; none when empty
	Tip      string
}

const maxNames = 4 // rows of names above the windows; further windows keep their tooltip only

// on is where the window stands along x: at least two pixels wide, or nowhere.
func (sh *Shade) on(x *scale) (x1, x2 float64, ok bool) {
	if !finite(sh.From) || !finite(sh.To) || sh.To < x.min || sh.From > x.max || sh.To < sh.From {
		return 0, 0, false
	}
	x1, x2 = x.at(sh.From), x.at(sh.To)
	return x1, max(x2, min(x1+2, x.to)), true
}

// windowNames writes the names of windows from y down, each over a bracket as long as its window, in as
// many rows as they need to stay apart. It returns the y below them.
func (s *svg) windowNames(shades []Shade, x *scale, y float64) float64 {
	type name struct {
		x1, x2, text float64
		label        string
	}
	var rows [][]name
	for _, sh := range shades {
		x1, x2, ok := sh.on(x)
		if !ok || sh.Label == "" {
			continue
		}
		n := name{x1: x1, x2: x2, label: fit(sh.Label, x.to-x.from)}
		n.text = max(x.from, min(x1, x.to-width(n.label)))
		row := 0
		for ; row < len(rows); row++ {
			last := rows[row][len(rows[row])-1]
			if min(n.text, n.x1) > max(last.x2, last.text+width(last.label))+8 {
				break
			}
		}
		switch {
		case row < len(rows):
			rows[row] = append(rows[row], n)
		case row < maxNames:
			rows = append(rows, []name{n})
		}
	}
	for _, row := range rows {
		for _, n := range row {
			s.text("shadename", "start", n.text, y+12, n.label)
			s.line("bracket", n.x1, y+18, n.x2, y+18)
		}
		y += 20
	}
	return y
}

// timeAxis draws x, in seconds, at y. It returns the y below it.
func (s *svg) timeAxis(x *scale, y float64) float64 {
	ticks, step := moments(x.min, x.max, max(int((x.to-x.from)/64), 1))
	s.line("axis", x.from, y, x.to, y)
	for _, v := range ticks {
		s.line("axis", x.at(v), y, x.at(v), y+4)
		s.text("tick", "middle", x.at(v), y+17, tickTime(v, step, x.max))
	}
	return y + axisRoom
}
