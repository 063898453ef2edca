package replayer

import (
	"math"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// A Schedule gives every exchange of a recording its due time, counted from the start of the run. It is
// asked once for each, in recorded order, and knows nothing of clocks.
//
//	recorded   |──────|───|───────────────|────────|      Start of each exchange, from the first on
//	2x         |───|─|───────|────|                       (Start - first Start) / 2
//	2000/s     |────|────|────|────|                      place in the recording / 2000
//
// Every due time comes from the recording, never from the due time before it: what one rounding or one
// late wake-up costs is not handed on, and there is no drift.
type Schedule struct {
	Rate conf.Rate // the zero Rate is 1x

	first int64 // Start of the first exchange
	n     uint64
	last  time.Duration
}

// Next is the due time of the next exchange, whose recorded Start is start. Due times never go back: an
// exchange that comes out of order is due with the one before it, and moved reports that it was moved.
func (s *Schedule) Next(start int64) (due time.Duration, moved bool) {
	if s.n == 0 {
		s.first = start
	}
	if s.Rate.PerSecond > 0 {
		due = clamp(float64(s.n) * (float64(time.Second) / s.Rate.PerSecond))
	} else {
		due = s.recorded(start)
		moved = due < s.last
	}
	s.last = max(s.last, due)
	s.n++
	return s.last, moved
}

func (s *Schedule) recorded(start int64) time.Duration {
	if s.Rate.Times == 0 || s.Rate.Times == 1 {
		return time.Duration(start - s.first)
	}
	return clamp(float64(start-s.first) / s.Rate.Times)
}

// clamp rounds ns to a Duration; what is longer than one can hold (292 years) is the longest.
func clamp(ns float64) time.Duration {
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(ns))
}
