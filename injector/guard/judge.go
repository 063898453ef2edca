package guard

import (
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/conf"
)

// A Verdict is what one look at a window comes to.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Broken  Verdict = "broken"
	Missing Verdict = "missing"
)

// Limits of a window. Zero fields are not looked at.
type Limits struct {
	ErrorRate conf.Share
	P99       time.Duration
	Min       int // exchanges; below that data is missing
}

// judge holds r against l. The reason is one line, empty where all is well.
func (l *Limits) judge(r *Reading) (Verdict, string) {
	seen := r.Count + r.Overdue
	switch slow := r.Slow + r.Overdue; {
	case seen < uint64(max(l.Min, 1)):
		return Missing, fmt.Sprintf("%d of %d exchanges in %s", seen, max(l.Min, 1), Window)
	case l.ErrorRate > 0 && r.ErrorRate() > float64(l.ErrorRate):
		return Broken, fmt.Sprintf("error rate %.2f%% above %s: %d of %d", 100*r.ErrorRate(), l.ErrorRate, r.Errors, r.Count)
	case l.P99 > 0 && float64(slow) > 0.01*float64(seen): // which is what p99 above the limit means
		return Broken, fmt.Sprintf("p99 above %s: %d of %d took longer, %d of them still do", l.P99, slow, seen, r.Overdue)
	}
	return OK, ""
}

// ErrorRate is the share of exchanges that failed, 0 when there are none.
func (r *Reading) ErrorRate() float64 {
	if r.Count == 0 {
		return 0
	}
	return float64(r.Errors) / float64(r.Count)
}

// P99 is of those that ended, in milliseconds.
func (r *Reading) P99() float64 { return float64(r.Latency.Quantile(0.99)) / 1e6 }
