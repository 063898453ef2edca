package toxiproxy

import "github.com/redlane/redlane/traffic"

var _ = register("timeout", func() kind { return new(timeout) })

// timeout throws away what comes, and ends the connection once nothing has come for Timeout. At 0 that never
// happens by itself; the removal of the toxic ends the connection.
type timeout struct {
	Timeout int64 `json:"timeout"` // milliseconds
}

func (t *timeout) cuts() {}

func (t *timeout) apply(s *traffic.Shape, l *link) {
	s.Hole = true
	if t.Timeout <= 0 {
		return
	}
	from := l.since
	if l.last.After(from) {
		from = l.last
	}
	if left := from.Add(span(t.Timeout, ms)).Sub(l.now); left > 0 {
		again(s, left)
	} else {
		end(s, 0, traffic.EndClose)
	}
}
