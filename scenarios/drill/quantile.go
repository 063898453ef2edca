package drill

import (
	"maps"
	"math"
	"slices"
)

// quantile estimates from buckets, in milliseconds, evenly within a bucket, as Prometheus does: that is as fine as the
// buckets are, two or three a decade.
func (t *tally) quantile(q float64) float64 {
	bounds := slices.Sorted(maps.Keys(t.buckets))
	if len(bounds) == 0 {
		return 0
	}
	rank := q * float64(t.buckets[bounds[len(bounds)-1]])
	if rank == 0 {
		return 0
	}
	low, below := 0.0, 0.0
	for _, le := range bounds {
		n := float64(t.buckets[le])
		if n < rank {
			low, below = le, n
			continue
		}
		if math.IsInf(le, 1) || n == below {
			return low * 1e3
		}
		return (low + (le-low)*(rank-below)/(n-below)) * 1e3
	}
	return low * 1e3
}
