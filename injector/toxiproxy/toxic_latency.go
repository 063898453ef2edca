package toxiproxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("latency", func() kind { return new(latency) })

// latency holds each piece back for Latency, give or take Jitter, drawn for each piece.
type latency struct {
	Latency int64 `json:"latency"` // milliseconds
	Jitter  int64 `json:"jitter"`  // milliseconds, either way; no piece overtakes another
}

func (t *latency) apply(s *traffic.Shape, l *link) {
	if t.Jitter > 0 && l.fresh {
		j := span(t.Jitter, ms)
		l.drawn = time.Duration(l.dice.Int64N(2*int64(j)+1)) - j
	}
	s.Delay += max(span(t.Latency, ms)+l.drawn, 0)
}
