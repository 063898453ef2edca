package toxiproxy

import (
	"slices"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// A stream is the traffic.Shaper of one connection. Only the connection's loop uses it.
type stream struct {
	server *Server
	proxy  *proxy
	x      *traffic.Exchange
	number uint64 // of the proxy's connections

	set     *set // what links were made for
	links   [ways][]*link
	seen    [ways]int64   // bytes that had come when it was asked last
	blocked [ways]bool    // nothing passes
	shape   traffic.Shape // being put together
	cut     bool          // its proxy is gone, or a toxic that takes its connections along
}

// Shape implements traffic.Shaper.
func (s *stream) Shape(d traffic.Direction) traffic.Shape {
	if set := s.proxy.set.Load(); set != s.set {
		s.adopt(set)
	}
	if s.cut {
		return traffic.Shape{End: traffic.EndClose}
	}
	came := s.came(d)
	s.shape = traffic.Shape{}
	if len(s.links[d]) > 0 || s.blocked[d] {
		s.apply(d, came)
	}
	s.seen[d] = came
	return s.shape
}

func (s *stream) came(d traffic.Direction) int64 {
	if d == traffic.Upstream {
		return s.x.Request.BodySize
	}
	return s.x.Response.BodySize
}

// apply lets all toxics of a direction add to s.shape what they do to the bytes that have come.
func (s *stream) apply(d traffic.Direction, came int64) {
	shape := &s.shape
	now, fresh := s.server.cfg.Clock.Now(), came > s.seen[d]
	for _, l := range s.links[d] {
		if l.toxic.over(now) { // its lease is over, whoever has not yet taken it away
			s.cut = s.cut || l.cuts()
			continue
		}
		if l.now, l.came, l.fresh = now, came, fresh; l.since.IsZero() {
			l.since = now
		}
		if fresh {
			if l.last = now; l.first.IsZero() {
				l.first = now
			}
		}
		if l.hit {
			l.toxic.Attributes.apply(shape, l)
		}
	}
	if s.cut {
		*shape = traffic.Shape{End: traffic.EndClose}
	}
	// What has been held back for good is due then, unless a Delay of 0 lets go of it.
	blocked := shape.Delay >= forever
	if s.blocked[d] && !blocked {
		shape.Delay = 0
	}
	s.blocked[d] = blocked
}

// adopt goes over to another set. What a toxic has counted stays with it, also when it has been changed.
func (s *stream) adopt(set *set) {
	if s.set = set; set == nil {
		s.cut = true
		return
	}
	for d := range s.links {
		old := s.links[d]
		s.links[d] = nil
		for _, t := range set.toxics[d] {
			s.links[d] = append(s.links[d], s.link(old, t, d))
		}
		for _, l := range old {
			if l.cuts() && !slices.ContainsFunc(s.links[d], func(n *link) bool { return n.toxic.born == l.toxic.born }) {
				s.cut = true
			}
		}
	}
}

// link is that of t, which may be among the old ones.
func (s *stream) link(old []*link, t *toxic, d int) *link {
	dice := chance.Stream(s.server.cfg.Seed, s.proxy.name+"/"+t.Name, s.number)
	hit := chance.Hit(dice, t.Toxicity) // the same draw for the same toxic, so that a change of another changes nothing here
	for _, l := range old {
		switch {
		case l.toxic == t:
			return l
		case l.toxic.born == t.born:
			l.toxic, l.hit, l.since, l.last, l.first, l.drawn = t, hit, time.Time{}, time.Time{}, time.Time{}, 0
			return l
		}
	}
	return &link{toxic: t, hit: hit, dice: dice, base: s.seen[d]}
}

// cuts reports whether the end of the toxic is that of the stream.
func (l *link) cuts() bool {
	_, cuts := l.toxic.Attributes.(cutter)
	return cuts && l.hit
}
