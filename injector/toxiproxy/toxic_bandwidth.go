package toxiproxy

import (
	"math"

	"github.com/redlane/redlane/traffic"
)

var _ = register("bandwidth", func() kind { return new(bandwidth) })

// bandwidth lets so many bytes pass in a second. At 0 nothing passes, until the toxic is changed or removed.
type bandwidth struct {
	Rate int64 `json:"rate"` // KB/s, of 1,000 bytes
}

func (t *bandwidth) apply(s *traffic.Shape, _ *link) {
	if t.Rate <= 0 {
		s.Delay += forever
		return
	}
	if rate := min(t.Rate, math.MaxInt64/1000) * 1000; s.Rate == 0 || rate < s.Rate {
		s.Rate = rate
	}
}
