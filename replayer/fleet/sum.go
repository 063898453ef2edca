package fleet

import (
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
)

// A sum merges results as they come. Those of the last seconds are kept apart: their histograms are still in the
// bytes in which they came, and a run of hours has no room for all of them.
type sum struct {
	recent, old replayer.Sum
	merged      int
}

// fold is how many results are merged before what is recent becomes old: those of four seconds of 1,000 workers.
const fold = 4096

func (s *sum) add(r *replayer.Result) {
	s.recent.Add(r)
	if s.merged++; s.merged%fold == 0 {
		s.old.Add(s.recent.Result())
	}
}

// all is everything so far. Nothing may be added after it.
func (s *sum) all() *replayer.Result {
	s.old.Add(s.recent.Result())
	return s.old.Result()
}

// second is the p99 of latency from due and of lag, of requests that were due in one second.
func (s *sum) second(n int) (due, lag time.Duration) {
	var d, l hdr.Hist
	for _, r := range []*replayer.Sum{&s.recent, &s.old} {
		r.Second(n, &d, &l)
	}
	return d.Quantile(0.99), l.Quantile(0.99)
}
