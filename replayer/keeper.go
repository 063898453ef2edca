package replayer

import (
	"cmp"
	"maps"
	"slices"

	"github.com/redlane/redlane/internal/engine"
)

// A keeper puts together what the loops have counted. It takes their cells away once a second, so that a loop
// holds little and merges nothing, however long the run: a merge on a loop would be lag.
//
//	loop 1: book ─ cells ─┐ once a second          ┌─► Progress, of that second and of all so far
//	loop 2: book ─ cells ─┴─► keeper ─► grid, total ┴─► Result
//
// One goroutine uses it at a time.
type keeper struct {
	routes   *routes
	books    []*book
	grid     *grid
	total    Stats
	statuses map[int]uint64
}

func newKeeper(r *routes, books []*book) *keeper {
	return &keeper{routes: r, books: books, grid: newGrid(maxCells), statuses: make(map[int]uint64)}
}

// sweep asks every loop for its cells and takes them. It returns what was over since the last sweep.
func (k *keeper) sweep(driver engine.Driver) (recent Stats) {
	driver.Each(func(_ engine.Loop, h engine.Handler) { h.(*client).book.handOver() })
	return k.take()
}

// take merges what the books have handed over. A loop may still hand over when the driver ends and Each stops
// waiting for it: the next take finds that.
func (k *keeper) take() (recent Stats) {
	for _, b := range k.books {
		for _, cells := range b.handed() {
			for key, c := range cells {
				c.Route = k.routes.name(key.route)
				recent.Add(&c.Stats)
				if c.Status != 0 {
					k.statuses[c.Status] += c.Count
				}
				k.grid.put(c, true)
			}
		}
	}
	k.total.Add(&recent)
	k.grid.fit(k.grid.step)
	return recent
}

// close puts all that the loops have counted into r. There are no events any more.
func (k *keeper) close(r *Result) {
	mismatches := make(map[mismatchKey]uint64)
	for _, b := range k.books {
		b.handOver()
		b.addTo(r, mismatches)
	}
	k.take()
	r.Total, r.Step, r.Cells, r.Statuses = k.total, k.grid.step, k.grid.list(), maps.Clone(k.statuses)
	r.Mismatches = listMismatches(mismatches)
	for i := range r.Cells {
		r.Cells[i].compact()
	}
}

func listMismatches(sum map[mismatchKey]uint64) (list []Mismatch) {
	for pair, n := range sum {
		list = append(list, Mismatch{pair.recorded, pair.replayed, n})
	}
	slices.SortFunc(list, func(a, b Mismatch) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Recorded, b.Recorded), cmp.Compare(a.Replayed, b.Replayed))
	})
	return list
}
