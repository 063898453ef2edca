package toxiproxy

import "github.com/redlane/redlane/traffic"

var _ = register("reset_peer", func() kind { return new(resetPeer) })

// resetPeer resets the connection Timeout after the first piece came. Nothing passes.
type resetPeer struct {
	Timeout int64 `json:"timeout"` // milliseconds
}

func (t *resetPeer) apply(s *traffic.Shape, l *link) {
	s.Hole = true
	if l.first.IsZero() {
		return
	}
	if left := l.first.Add(span(t.Timeout, ms)).Sub(l.now); left > 0 {
		again(s, left)
	} else {
		end(s, 0, traffic.EndReset)
	}
}
