package replayer

import "github.com/redlane/redlane/internal/hdr"

// A Sum merges many Results as they come. What comes out is what Result.Merge makes of them one after the other; it
// costs what is in the Result that is added, where Merge goes through all cells of both. The zero Sum is empty.
type Sum struct {
	head Result
	grid *grid
}

// Add merges r, which stays as it is.
func (s *Sum) Add(r *Result) {
	if s.grid == nil {
		s.grid = newGrid(maxCells)
	}
	s.head.mergeHead(r)
	s.grid.fit(r.Step)
	for i := range r.Cells {
		s.grid.add(&r.Cells[i])
	}
	s.grid.fit(s.grid.step)
}

// Result is everything so far, in as little memory as it takes. The Sum is empty after it.
func (s *Sum) Result() *Result {
	r := s.head
	if s.grid != nil {
		r.Step, r.Cells = s.grid.step, s.grid.list()
	}
	for i := range r.Cells {
		r.Cells[i].compact()
		r.Total.Add(&r.Cells[i].Stats) // once, and not with every Result
	}
	*s = Sum{}
	return &r
}

// Second merges the latency from due and the lag of the requests that were due in one second into due and lag.
func (s *Sum) Second(n int, due, lag *hdr.Hist) {
	if s.grid == nil {
		return
	}
	for key, c := range s.grid.cells {
		if key.second == n {
			due.Merge(&c.Due)
			lag.Merge(&c.Lag)
		}
	}
}
