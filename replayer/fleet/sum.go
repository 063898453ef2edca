package fleet

import (
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
)

// A sum merges results as they come. Those of the last seconds are kept apart: merging goes through all cells
// of what is merged into, and a run may have thousands.
type sum struct {
	recent, old replayer.Result
	merged      int
}

// fold is how many results are merged before what is recent becomes old.
const fold = 4096

func (s *sum) add(r *replayer.Result) {
	s.recent.Merge(r)
	if s.merged++; s.merged%fold == 0 {
		s.old.Merge(&s.recent)
		s.recent = replayer.Result{}
	}
}

// all is everything so far. Nothing may be added after it.
func (s *sum) all() *replayer.Result {
	s.old.Merge(&s.recent)
	s.recent = replayer.Result{}
	return &s.old
}

// second is the p99 of latency from due and of lag, of requests that were due in one second.
func (s *sum) second(n int) (due, lag time.Duration) {
	var d, l hdr.Hist
	for _, r := range []*replayer.Result{&s.recent, &s.old} {
		for i := range r.Cells {
			if r.Cells[i].Second == n {
				d.Merge(&r.Cells[i].Due)
				l.Merge(&r.Cells[i].Lag)
			}
		}
	}
	return d.Quantile(0.99), l.Quantile(0.99)
}
