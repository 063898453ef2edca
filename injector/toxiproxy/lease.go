package toxiproxy

import (
	"context"
	"time"
)

// Run ends toxics whose lease is over, and enables proxies again. It returns when ctx is done.
func (s *Server) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		sleep, cancel := context.WithCancel(ctx)
		next := s.expire(cancel)
		_ = s.cfg.Clock.SleepUntil(sleep, next) // woken early it looks again
		cancel()
	}
	return nil
}

// expire ends what is over, and returns when to look again. wake is called when that has become sooner.
func (s *Server) expire(wake context.CancelFunc) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.wake = nil // not for what happens here
	defer func() { s.mu.wake = wake }()
	now := s.cfg.Clock.Now()
	var down []*proxy
	ended := false
	for _, p := range s.mu.proxies {
		old := p.set.Load()
		if left := old.without(over(now)); left.size() < old.size() {
			p.set.Store(left)
			ended = true
		}
		if !p.enabled && !p.until.IsZero() && !now.Before(p.until) {
			up := p.next()
			up.enabled, up.until = true, time.Time{}
			down = append(down, up)
		}
	}
	switch {
	case len(down) > 0:
		if err := s.replace(down); err != nil { // its address is taken, most likely
			return now.Add(tryAgain)
		}
	case ended:
		s.cfg.Carrier.Wake()
	}
	return s.soonest(now)
}

// tryAgain is how long after a proxy could not be enabled.
const tryAgain = time.Second

// soonest is when the next lease ends. s.mu is held.
func (s *Server) soonest(now time.Time) time.Time {
	next := now.Add(s.cfg.TTL)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	for _, p := range s.mu.proxies {
		sooner(p.until)
		for _, t := range p.set.Load().all() {
			sooner(t.until)
		}
	}
	return next
}

// over says which toxics are, at now.
func over(now time.Time) func(*toxic) bool { return func(t *toxic) bool { return t.over(now) } }

func (t *toxic) over(now time.Time) bool { return !now.Before(t.until) }

// tell has Run look again. s.mu is held.
func (s *Server) tell() {
	if s.mu.wake != nil {
		s.mu.wake()
	}
}
