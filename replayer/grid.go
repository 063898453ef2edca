package replayer

import (
	"cmp"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// maxCells is how many cells a result holds at most. A cell of one request takes 1.1 KB, one of a hundred 2.6 KB
// (BenchmarkFullGrid), so that a run of any length stays at some hundred MB, and usually far below.
const maxCells = 1 << 15

// maxStep ends the search for a step: more cells than the limit in one step are kept.
const maxStep = 1 << 20

// A grid holds cells by what they count. When there are more than its limit it makes its steps twice as long:
// 1, 2, 4 ... seconds. All of it at once, and not only what is old: so the step follows from what is in it and
// not from the order in which it came, and grids of several workers merge to the same in any order.
//
//	step 1  │a│b│c│d│e│f│g│h│     too many: cells of two neighbours are merged
//	step 2  │a+b│c+d│e+f│g+h│     counts and quantiles of the whole run stay exact
type grid struct {
	step  int // seconds
	limit int // cells
	cells map[gridKey]*Cell
}

type gridKey struct {
	second int
	lane   traffic.Color
	route  string
	status int
}

func newGrid(limit int) *grid { return &grid{step: 1, limit: limit, cells: make(map[gridKey]*Cell)} }

// add merges c, which stays the caller's.
func (g *grid) add(c *Cell) { g.put(c, false) }

// put merges c, and may keep it when it is given away.
func (g *grid) put(c *Cell, given bool) {
	key := gridKey{c.Second - c.Second%g.step, c.Lane, c.Route, c.Status}
	sum := g.cells[key]
	if sum == nil {
		if given {
			c.Second, c.Class = key.second, c.Status/100
			g.cells[key] = c
			return
		}
		sum = &Cell{Second: key.second, Lane: c.Lane, Route: c.Route, Status: c.Status, Class: c.Status / 100}
		g.cells[key] = sum
	}
	sum.Stats.Add(&c.Stats)
}

// fit makes steps longer until they are at least this long and the cells are no more than the limit.
func (g *grid) fit(step int) {
	for g.step < step || len(g.cells) > g.limit && g.step < maxStep {
		old := g.cells
		g.step *= 2
		g.cells = make(map[gridKey]*Cell, len(old)/2)
		for key, c := range old {
			key.second -= key.second % g.step
			if sum := g.cells[key]; sum != nil {
				sum.Stats.Add(&c.Stats)
				continue
			}
			c.Second = key.second
			g.cells[key] = c
		}
	}
}

// list is all cells by second, lane, route and status. The grid is used up.
func (g *grid) list() []Cell {
	all := make([]Cell, 0, len(g.cells))
	for _, c := range g.cells {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Second, b.Second), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Status, b.Status))
	})
	return all
}

func (c *Cell) compact() {
	c.Due.Compact()
	c.Sent.Compact()
	c.Lag.Compact()
}
