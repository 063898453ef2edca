package toxiproxy

import (
	"math"

	"github.com/redlane/redlane/traffic"
)

var _ = register("slicer", func() kind { return new(slicer) })

// slicer passes bytes in slices of AverageSize, give or take SizeVariation, with a pause between them.
type slicer struct {
	AverageSize   int64 `json:"average_size"`   // bytes; 0 slices nothing
	SizeVariation int64 `json:"size_variation"` // bytes; below AverageSize
	Delay         int64 `json:"delay"`          // microseconds
}

func (t *slicer) apply(s *traffic.Shape, l *link) {
	if t.AverageSize <= 0 {
		return
	}
	size := min(t.AverageSize, math.MaxInt32)
	if v := min(t.SizeVariation, size-1); v > 0 {
		size += l.dice.Int64N(2*v+1) - v
	}
	if s.Slice == 0 || int(size) < s.Slice {
		s.Slice = int(size)
	}
	s.Pause += span(t.Delay, us)
}
