package toxiproxy

import "github.com/redlane/redlane/traffic"

var _ = register("limit_data", func() kind { return new(limitData) })

// limitData ends the connection when Bytes have passed since the toxic was added.
type limitData struct {
	Bytes int64 `json:"bytes"`
}

func (t *limitData) apply(s *traffic.Shape, l *link) {
	limit := l.base + max(t.Bytes, 0)
	if limit < l.base { // more than any stream carries
		return
	}
	// A limit that a change has put below what has passed already ends the connection with its next byte.
	if !l.first.IsZero() || limit > l.came {
		end(s, limit, traffic.EndClose)
	}
}
