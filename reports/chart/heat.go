package chart

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// A Heat shows how often each latency occurred in each stretch of time: darker is more often, on a log
// scale, because one slow request in a thousand is what it is looked at for.
type Heat struct {
	Label    string
	From, To float64   // of the time axis, seconds
	First    float64   // where the first column begins, seconds
	Width    float64   // of one column, seconds
	Bounds   []float64 // upper bounds of the rows in nanoseconds, ascending
	Cells    [][]uint64
	Height   float64
	Shades   []Shade // their names and edges are drawn; a tint would change what a cell's colour says
}

const shades = 8

// SVG draws h as wide as w. Columns closer than three pixels are added up.
func (h *Heat) SVG(w float64) string {
	x := scale{min: h.From, max: h.To, from: leftRoom, to: w - rightRoom}
	if w >= narrow {
		x.to = w - labelRoom
	}
	if !(h.To > h.From) {
		x.max = h.From + 1
	}
	var s svg
	s.text("title", "start", leftRoom, 13, "latency, a row for each bucket")
	cells, each := h.merged(x)
	rows := len(h.Bounds)
	top := s.windowNames(h.Shades, &x, titleRoom)
	bottom := top + h.Height
	rowHeight := h.Height / float64(max(rows, 1))
	rowY := func(i int) float64 { return bottom - float64(i+1)*rowHeight } // top edge of row i
	most := uint64(0)
	for _, col := range cells {
		for _, n := range col {
			most = max(most, n)
		}
	}
	for c, col := range cells {
		x1 := x.at(h.First + float64(c)*each)
		x2 := x.at(h.First + float64(c+1)*each)
		for r, n := range col {
			if n == 0 {
				continue
			}
			tip := ""
			if w >= narrow {
				tip = fmt.Sprintf("%s: %s up to %s", Span(time.Duration((h.First+float64(c)*each)*1e9)), Count(n), Latency(time.Duration(h.Bounds[r])))
			}
			s.rect("heat h"+strconv.Itoa(shadeOf(n, most)), x1, rowY(r), x2-x1+0.2, rowHeight+0.2, tip)
		}
	}
	for last, i := math.Inf(1), 0; i < rows; i++ {
		if y := rowY(i); last-y >= 26 || i == 0 {
			s.text("tick", "end", x.from-6, max(y, top+6)+4, tickLatency(roughly(h.Bounds[i])))
			last = y
		}
	}
	for _, sh := range h.Shades {
		if x1, x2, ok := sh.on(&x); ok && sh.Label != "" {
			s.line("edge", x1, top, x1, bottom)
			s.line("edge", x2, top, x2, bottom)
		}
	}
	end := s.timeAxis(&x, bottom)
	if w >= narrow {
		end = max(end, s.scale(x.to+16, top, most))
	}
	var out svg
	out.open(w, end, h.Label)
	out.b.WriteString(s.b.String())
	return out.close()
}

// scale writes what the shades stand for, from the top down, and returns the y below.
func (s *svg) scale(x, y float64, most uint64) float64 {
	s.text("tick", "start", x, y+8, "exchanges")
	last := uint64(0)
	y += 16
	for i := shades - 1; i >= 0; i-- {
		n := uint64(math.Ceil(math.Pow(float64(max(most, 1)), float64(i)/(shades-1)) - 1e-9))
		if n == last {
			continue
		}
		last = n
		s.rect("heat h"+strconv.Itoa(i), x, y, 14, 14, "")
		s.text("tick", "start", x+20, y+11, tickCount(float64(n)))
		y += 16
	}
	return y
}

// shadeOf is the shade of n when the greatest count is most: 0 for one, shades-1 for most.
func shadeOf(n, most uint64) int {
	if most <= 1 {
		return shades - 1
	}
	return int(math.Round(math.Log(float64(n)) / math.Log(float64(most)) * (shades - 1)))
}

// merged returns the columns to draw and how many seconds each stands for. Cells outside of the rows or
// of the time axis are left out.
func (h *Heat) merged(x scale) ([][]uint64, float64) {
	each := h.Width
	if !(each > 0) || !finite(each) {
		each = 1
	}
	k := max(int(math.Ceil(3*(x.max-x.min)/(x.to-x.from)/each)), 1)
	var out [][]uint64
	for i, col := range h.Cells {
		if h.First+float64(i)*each >= x.max {
			break
		}
		if i%k == 0 {
			out = append(out, make([]uint64, len(h.Bounds)))
		}
		for r, n := range col[:min(len(col), len(h.Bounds))] {
			out[len(out)-1][r] += n
		}
	}
	return out, each * float64(k)
}

// roughly is v to two digits: bounds of histogram rows are rarely round.
func roughly(v float64) float64 {
	if !(v > 0) || !finite(v) {
		return 0
	}
	p := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/p) * p
}
