package chart

import (
	"html"
	"math"
	"strconv"
	"strings"
)

// Room that text takes, in units of the figure, which are CSS pixels at full size. charWidth is that of
// a wide system font (DejaVu Sans), so that narrower ones fit as well.
const (
	textSize   = 12
	charWidth  = 7.2
	lineHeight = 15
)

// An svg is a figure being written.
type svg struct{ b strings.Builder }

// open begins a figure of w by h units. label is what a screen reader says.
func (s *svg) open(w, h float64, label string) {
	s.b.WriteString(`<svg class="chart" viewBox="0 0 ` + num(w) + ` ` + num(h) + `" width="` + num(w) + `" height="` + num(h) + `" role="img" aria-label="` + html.EscapeString(label) + `">`)
}

func (s *svg) close() string {
	s.b.WriteString("</svg>\n")
	return s.b.String()
}

// element writes <name class="..." attrs/>, with a tooltip inside when tip is not empty.
func (s *svg) element(name, class, attrs, tip string) {
	s.b.WriteString("<" + name)
	if class != "" {
		s.b.WriteString(` class="` + html.EscapeString(class) + `"`)
	}
	s.b.WriteString(attrs)
	if tip == "" {
		s.b.WriteString("/>")
		return
	}
	s.b.WriteString("><title>" + html.EscapeString(tip) + "</title></" + name + ">")
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	s.element("path", class, ` d="M`+num(x1)+" "+num(y1)+"L"+num(x2)+" "+num(y2)+`"`, "")
}

func (s *svg) rect(class string, x, y, w, h float64, tip string) {
	s.element("rect", class, ` x="`+num(x)+`" y="`+num(y)+`" width="`+num(max(w, 0))+`" height="`+num(max(h, 0))+`"`, tip)
}

// text writes t at x, y (its baseline). anchor is start, middle or end.
func (s *svg) text(class, anchor string, x, y float64, t string) {
	s.b.WriteString("<text")
	if class != "" {
		s.b.WriteString(` class="` + html.EscapeString(class) + `"`)
	}
	if anchor != "start" {
		s.b.WriteString(` text-anchor="` + anchor + `"`)
	}
	s.b.WriteString(` x="` + num(x) + `" y="` + num(y) + `">` + html.EscapeString(t) + "</text>")
}

// num writes a coordinate with one decimal: a tenth of a pixel is enough, and keeps pages small.
func num(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	v = math.Round(v*10) / 10
	if v == 0 {
		return "0" // and not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// width is the room that t needs in a line.
func width(t string) (w float64) {
	for _, c := range t {
		w += runeWidth(c)
	}
	return w
}

// runeWidth is charWidth, or two of them for scripts and symbols that are as wide as high.
func runeWidth(c rune) float64 {
	if c >= 0x1100 && (c <= 0x115f || c >= 0x2e80 && c <= 0xd7ff || c >= 0xf900 && c <= 0xfaff || c >= 0xfe30 && c <= 0xfe6f || c >= 0xff00 && c <= 0xff60 || c >= 0x1f000) {
		return 2 * charWidth
	}
	return charWidth
}

// fit is t, or as much of it as room allows with an ellipsis; empty when not even that.
func fit(t string, room float64) string {
	if width(t) <= room {
		return t
	}
	var w float64
	for i, c := range t {
		if w += runeWidth(c); w > room-charWidth+1e-6 {
			if i < 2 {
				return ""
			}
			return t[:i] + "…"
		}
	}
	return t
}
