package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var numbers = regexp.MustCompile(`-?[\d.]+`)

type element struct {
	name, class, text string
	attr              map[string]string
}

// parse reads an SVG strictly and checks what must hold of every figure: it is well-formed, its numbers
// are finite, and everything in it lies within it.
func parse(t require.TestingT, svg string) []element {
	var all []element
	var w, h float64
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, svg)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			e.class = e.attr["class"]
			if e.name == "svg" {
				w, h = number(t, e.attr["width"]), number(t, e.attr["height"])
				require.Positive(t, w)
				require.Positive(t, h)
			}
			for _, k := range []string{"x", "cx"} {
				if v, ok := e.attr[k]; ok {
					within(t, number(t, v), w, e)
				}
			}
			for _, k := range []string{"y", "cy"} {
				if v, ok := e.attr[k]; ok {
					within(t, number(t, v), h, e)
				}
			}
			if e.name == "rect" {
				within(t, number(t, e.attr["x"])+number(t, e.attr["width"]), w+1, e)
				within(t, number(t, e.attr["y"])+number(t, e.attr["height"]), h+1, e)
			}
			require.NotContains(t, e.attr["d"], "N")
			require.NotContains(t, e.attr["d"], "I")
			for _, v := range numbers.FindAllString(e.attr["d"], -1) {
				require.LessOrEqual(t, number(t, v), max(w, h)+1)
				require.GreaterOrEqual(t, number(t, v), -1.0)
			}
			all = append(all, e)
		case xml.CharData:
			all[len(all)-1].text += string(token)
		}
	}
	return all
}

func number(t require.TestingT, s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	require.NoError(t, err)
	require.True(t, finite(v), s)
	return v
}

func within(t require.TestingT, v, limit float64, e element) {
	require.GreaterOrEqual(t, v, -0.5, "%v", e)
	require.LessOrEqual(t, v, limit+0.5, "%v", e)
}

func count(all []element, class string) (n int) {
	for _, e := range all {
		if strings.HasPrefix(e.class, class) {
			n++
		}
	}
	return n
}

func texts(all []element) string {
	var s []string
	for _, e := range all {
		if e.name == "text" {
			s = append(s, plain(e.text))
		}
	}
	return strings.Join(s, "|")
}

func TestTime(t *testing.T) {
	f := Time{
		Label: "a <figure> & more", To: 10,
		Shades: []Shade{{From: 2, To: 4, Class: "here", Label: "slow <b>"}, {From: 3, To: 3.0001, Class: "elsewhere"}, {From: 20, To: 30, Label: "outside"}},
		Panels: []Panel{
			{Title: "latency", Y: Nanoseconds, Height: 100, Rule: &Rule{Y: 5e6, Label: "limit"}, Lines: []Line{
				{Name: "red", Class: "red", Mark: "▲", Points: []Point{{0, 1e6}, {1, math.NaN()}, {2, 3e6}, {3, 4e6}}},
			}},
			{Title: "rate", Height: 40, Lines: []Line{{Name: "sent", Style: Area, Points: []Point{{0, 5}, {1, 7}}}}},
		},
	}
	wide := parse(t, f.SVG(960))
	require.Equal(t, "a <figure> & more", wide[0].attr["aria-label"])
	require.Contains(t, texts(wide), "slow <b>")
	require.Contains(t, texts(wide), "limit")
	require.NotContains(t, texts(wide), "outside")
	require.Equal(t, 4, count(wide, "shade "), "two windows in each of two panels")
	require.Contains(t, texts(wide), "▲ red", "named beside the plot")
	require.Positive(t, count(wide, "tip"))

	small := parse(t, f.SVG(372))
	require.Contains(t, texts(small), "▲ red", "named in the legend")
	require.Zero(t, count(small, "tip"), "a phone has nothing to hover with")

	// The second before a gap stands alone and is still seen.
	for _, e := range wide {
		if e.class == "line red" {
			require.Equal(t, 2, strings.Count(e.attr["d"], "M"), e.attr["d"])
			require.Contains(t, e.attr["d"], "h2")
		}
	}
}

func TestAxisTurnsLogarithmicWhenItMust(t *testing.T) {
	f := func(want string, values ...float64) {
		t.Helper()
		l := Line{Name: "x"}
		for i, v := range values {
			l.Points = append(l.Points, Point{float64(i), v})
		}
		all := parse(t, (&Time{To: 9, Panels: []Panel{{Title: "latency", Y: Nanoseconds, Height: 180, Lines: []Line{l}}}}).SVG(960))
		require.Contains(t, texts(all), want)
	}
	f("latency|", 1e6, 20e6)
	f("latency (log scale)|", 1e6, 80e6)
	f("latency|", 0, 20e6)
	f("latency|")
}

func TestRuleFarAboveTheDataIsLeftOut(t *testing.T) {
	p := Panel{Y: Nanoseconds, Height: 80, Rule: &Rule{Y: 1e9, Label: "limit"}, Lines: []Line{{Points: []Point{{0, 1e6}, {1, 2e6}}}}}
	require.NotContains(t, (&Time{To: 9, Panels: []Panel{p}}).SVG(960), "limit")
	p.Rule.Y = 3e6
	require.Contains(t, (&Time{To: 9, Panels: []Panel{p}}).SVG(960), "limit")
}

// A long run is drawn by its worst seconds: one bad second in a day must be seen.
func TestThinKeepsTheWorst(t *testing.T) {
	var points []Point
	for i := range 86400 {
		y := 1e6
		if i == 41234 {
			y = 9e9
		}
		points = append(points, Point{float64(i), y})
	}
	worst, each := thin(points, 0, 86400, 800, true)
	require.LessOrEqual(t, len(worst), 401)
	require.Equal(t, 216.0, each)
	var top, mean float64
	for _, p := range worst {
		top = max(top, p.Y)
	}
	require.Equal(t, 9e9, top)
	rates, _ := thin(points, 0, 86400, 800, false)
	for _, p := range rates {
		mean = max(mean, p.Y)
	}
	require.Less(t, mean, 9e9, "rates are averaged")
	svg := (&Time{To: 86400, Panels: []Panel{{Title: "latency", Y: Nanoseconds, Height: 100, Lines: []Line{{Name: "x", Points: points}}}}}).SVG(960)
	require.Less(t, len(svg), 60_000)
	require.Contains(t, plain(svg), "latency (log scale), worst of every 3 min 44 s", "the figure says what it merged")
}

func TestNamesDoNotTouch(t *testing.T) {
	var lines []Line
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		lines = append(lines, Line{Name: name, Points: []Point{{0, 10}, {1, 10}}})
	}
	all := parse(t, (&Time{To: 2, Panels: []Panel{{Height: 100, Lines: lines}}}).SVG(960))
	last := math.Inf(-1)
	for _, e := range all {
		if strings.HasPrefix(e.class, "name") {
			y := number(t, e.attr["y"])
			require.GreaterOrEqual(t, y-last, 13.9)
			last = y
		}
	}
	require.Equal(t, 5, count(all, "name"))
}

func TestCurve(t *testing.T) {
	c := Curve{Label: "curve", Height: 100, Lines: []Line{{Name: "due", Points: []Point{{0, 1e6}, {.5, 2e6}, {.9, 3e6}, {.99, 9e6}, {.999, 12e6}, {1, 99e9}, {math.NaN(), 1}}}}}
	all := parse(t, c.SVG(960))
	require.Contains(t, texts(all), "min|p50|p75|p90|p99|p99.9")
	require.NotContains(t, c.SVG(960), "p99.99")
	// Each nine takes the same room.
	at := map[string]float64{}
	for _, e := range all {
		if e.class == "tick" {
			at[e.text] = number(t, e.attr["x"])
		}
	}
	require.InDelta(t, at["p99"]-at["p90"], at["p99.9"]-at["p99"], 0.2)
	parse(t, (&Curve{Height: 100}).SVG(372))
}

func TestHeat(t *testing.T) {
	h := Heat{Label: "heat", To: 4, Width: 1, Height: 90, Bounds: []float64{1e6, 2e6, 3e6}, Cells: [][]uint64{{1, 0, 0}, {0, 10, 0}, {0, 0, 100, 7}}}
	all := parse(t, h.SVG(960))
	require.Equal(t, 1, strings.Count(h.SVG(960), "1 up to 1.00"+nb+"ms"))
	require.Contains(t, texts(all), "exchanges")
	require.Equal(t, 0, shadeOf(1, 100))
	require.Equal(t, shades-1, shadeOf(100, 100))

	long := Heat{To: 86400, Width: 1, Height: 90, Bounds: h.Bounds}
	for range 86400 {
		long.Cells = append(long.Cells, []uint64{1, 2, 3})
	}
	require.Less(t, len(parse(t, long.SVG(960))), 2000, "columns are added up")
	parse(t, (&Heat{}).SVG(372))
}

func TestGantt(t *testing.T) {
	g := Gantt{Label: "steps", To: 60, Bars: []Bar{
		{Actor: "a", Text: "first", Mark: "✓", PlanFrom: 0, PlanTo: 10, From: 0, To: 10},
		{Actor: "a", Text: "over it", Mark: "✓", PlanFrom: 5, PlanTo: 20, From: 5, To: 20},
		{Actor: "a", Text: "never", Mark: "○", PlanFrom: 55, PlanTo: 60, From: 0, To: -1},
		{Actor: "b", Text: "at the very end", Mark: "✓", PlanFrom: 59, PlanTo: 60, From: 59, To: 60},
	}}
	x := scale{max: 60, from: 150, to: 940}
	rows := g.rows(&x)
	require.Len(t, rows, 2)
	require.GreaterOrEqual(t, len(rows[0].tracks), 2, "bars that meet stand on tracks of their own")
	all := parse(t, g.SVG(960))
	require.Contains(t, texts(all), "✓ at the very end")
	require.Equal(t, 3, count(all, "bar "), "the last of a never ran")
	parse(t, g.SVG(372))
}

func TestFit(t *testing.T) {
	f := func(s string, room float64, want string) { t.Helper(); require.Equal(t, want, fit(s, room)) }
	f("short", 100, "short")
	f("much too long for it", 8*charWidth, "much to…")
	f("much too long", 2*charWidth, "")
	f("红包压测演练", 6*charWidth, "红包…") // twice as wide
}

// Whatever the numbers: a figure is well-formed, finite and keeps within its frame.
func TestFiguresHoldTheirFrame(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1e10), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1, 1e300}))
	at := rapid.OneOf(rapid.Float64Range(-10, 100), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), 1e18}))
	rapid.Check(t, func(t *rapid.T) {
		point := rapid.Custom(func(t *rapid.T) Point { return Point{rapid.Float64Range(0, 70).Draw(t, "x"), value.Draw(t, "y")} })
		line := rapid.Custom(func(t *rapid.T) Line {
			return Line{Name: rapid.String().Draw(t, "name"), Mark: "▲", Style: Style(rapid.IntRange(0, 4).Draw(t, "style")), Points: rapid.SliceOfN(point, 0, 9).Draw(t, "points")}
		})
		shade := rapid.Custom(func(t *rapid.T) Shade { return Shade{From: at.Draw(t, "from"), To: at.Draw(t, "to"), Label: "window"} })
		w := rapid.SampledFrom([]float64{372, 960}).Draw(t, "width")
		lines := rapid.SliceOfN(line, 0, 4).Draw(t, "lines")
		for i := range lines {
			lines[i].Name = strings.Map(func(c rune) rune {
				if c < ' ' || c >= 0xfffd {
					return -1 // reports cleans text before it is drawn
				}
				return c
			}, lines[i].Name)
		}
		f := Time{To: 60, Shades: rapid.SliceOfN(shade, 0, 6).Draw(t, "shades"), Panels: []Panel{{Y: Nanoseconds, Height: 90, Lines: lines}, {Height: 40, Lines: lines}}}
		parse(t, f.SVG(w))
		parse(t, (&Curve{Height: 90, Lines: lines}).SVG(w))
		parse(t, (&Gantt{To: 60, Bars: []Bar{{Text: "x", PlanFrom: at.Draw(t, "plan"), From: at.Draw(t, "began"), To: at.Draw(t, "ended")}}}).SVG(w))
	})
}
