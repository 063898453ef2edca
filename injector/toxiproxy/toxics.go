package toxiproxy

import "time"

// edit changes the toxics of a proxy: f returns the set to come and the toxic to show.
func (s *Server) edit(name string, f func(p *proxy) (*set, *toxic, error)) (*toxic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.mu.proxies[name]
	if p == nil {
		return nil, errProxyNotFound
	}
	p.set.Store(p.set.Load().without(over(s.cfg.Clock.Now())))
	next, t, err := f(p)
	if err != nil {
		return nil, err
	}
	p.set.Store(next)
	s.cfg.Carrier.Wake()
	s.tell()
	return t, nil
}

func (s *Server) addToxic(proxyName string, a *asked) (*toxic, error) {
	t, err := a.create()
	if err != nil {
		return nil, err
	}
	return s.edit(proxyName, func(p *proxy) (*set, *toxic, error) {
		now := p.set.Load()
		if now.find(t.Name) != nil {
			return nil, nil, errToxicExists
		}
		if len(now.all()) >= maxToxics {
			return nil, nil, tooMany("toxics", maxToxics)
		}
		s.mu.born++
		t.born = s.mu.born
		s.lease(t)
		return now.with(t), t, nil
	})
}

func (s *Server) updateToxic(proxyName, name string, a *asked) (*toxic, error) {
	return s.edit(proxyName, func(p *proxy) (*set, *toxic, error) {
		old := p.set.Load().find(name)
		if old == nil {
			return nil, nil, errToxicNotFound
		}
		t, err := a.change(old)
		if err != nil {
			return nil, nil, err
		}
		s.lease(t)
		return p.set.Load().with(t), t, nil
	})
}

func (s *Server) removeToxic(proxyName, name string) error {
	_, err := s.edit(proxyName, func(p *proxy) (*set, *toxic, error) {
		old := p.set.Load().find(name)
		if old == nil {
			return nil, nil, errToxicNotFound
		}
		return p.set.Load().without(func(t *toxic) bool { return t == old }), nil, nil
	})
	return err
}

// lease lets t last from now, for as long as it asks and the server gives.
func (s *Server) lease(t *toxic) {
	ttl := s.cfg.TTL
	if t.TTL > 0 {
		ttl = min(ttl, time.Duration(t.TTL))
	}
	t.until = s.cfg.Clock.Now().Add(ttl)
}

// toxics are those of a proxy, or the one that is named.
func (s *Server) toxics(proxyName, name string) ([]*toxic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.mu.proxies[proxyName]
	if p == nil {
		return nil, errProxyNotFound
	}
	live := p.live(s.cfg.Clock.Now())
	if name == "" {
		return live, nil
	}
	for _, t := range live {
		if t.Name == name {
			return []*toxic{t}, nil
		}
	}
	return nil, errToxicNotFound
}
