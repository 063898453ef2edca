package toxiproxy

import "github.com/redlane/redlane/traffic"

var _ = register("slow_close", func() kind { return new(slowClose) })

// slowClose passes the end of the direction on late.
type slowClose struct {
	Delay int64 `json:"delay"` // milliseconds
}

func (t *slowClose) apply(s *traffic.Shape, _ *link) { s.Linger += span(t.Delay, ms) }
