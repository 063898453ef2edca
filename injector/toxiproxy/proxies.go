package toxiproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// wanted is a proxy in a request. What is nil was not named.
type wanted struct {
	Name     string  `json:"name"`
	Listen   *string `json:"listen"`
	Upstream *string `json:"upstream"`
	Enabled  *bool   `json:"enabled"`

	listenAt, upstreamAt string // looked up
}

// lookUp finds the addresses that are named. It may take a while, so that it comes before the lock.
func (s *Server) lookUp(ctx context.Context, w *wanted) (err error) {
	if w.Listen != nil {
		if w.listenAt, err = s.cfg.Resolve(ctx, *w.Listen); err != nil {
			return carryFailed(fmt.Errorf("listen: %w", err))
		}
	}
	if w.Upstream != nil {
		if w.upstreamAt, err = s.cfg.Resolve(ctx, *w.Upstream); err != nil {
			return carryFailed(fmt.Errorf("upstream: %w", err))
		}
	}
	return nil
}

// fresh is a proxy as a request that creates one wants it.
func (s *Server) fresh(w *wanted) *proxy {
	p := &proxy{name: w.Name, service: serviceName(w.Name), listen: "0.0.0.0:0", enabled: true, counts: new(counts)}
	p.set.Store(new(set))
	p.want(w)
	return p
}

// next is what comes after p, by default the same.
func (p *proxy) next() *proxy {
	n := &proxy{name: p.name, service: p.service, listen: p.listen, upstream: p.upstream, target: p.target, enabled: p.enabled, until: p.until, counts: p.counts}
	n.set.Store(p.set.Load())
	return n
}

func (p *proxy) want(w *wanted) {
	if w.Listen != nil {
		p.listen = w.listenAt
	}
	if w.Upstream != nil {
		p.upstream, p.target = *w.Upstream, w.upstreamAt
	}
	if w.Enabled != nil {
		p.enabled = *w.Enabled
	}
}

// elsewhere reports whether p goes another way than o.
func (p *proxy) elsewhere(o *proxy) bool { return p.listen != o.listen || p.upstream != o.upstream }

func (s *Server) create(ctx context.Context, w *wanted) (shown, error) {
	if err := w.check(""); err != nil {
		return shown{}, err
	}
	if err := s.lookUp(ctx, w); err != nil {
		return shown{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.proxies[w.Name] != nil {
		return shown{}, errProxyExists
	}
	if len(s.mu.proxies) >= maxProxies {
		return shown{}, tooMany("proxies", maxProxies)
	}
	p := s.fresh(w)
	if err := s.replace([]*proxy{p}); err != nil {
		return shown{}, err
	}
	return p.show(s.cfg.Clock.Now()), nil
}

func (w *wanted) check(where string) error {
	switch {
	case w.Name == "":
		return missing("name" + where)
	case w.Upstream == nil || *w.Upstream == "":
		return missing("upstream" + where)
	}
	return nil
}

// update changes what w names. Toxics stay; connections end where anything changes.
func (s *Server) update(ctx context.Context, name string, w *wanted) (shown, error) {
	for _, field := range []**string{&w.Listen, &w.Upstream} {
		if *field != nil && **field == "" {
			*field = nil
		}
	}
	if err := s.lookUp(ctx, w); err != nil {
		return shown{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	old := s.mu.proxies[name]
	if old == nil {
		return shown{}, errProxyNotFound
	}
	p := old.next()
	p.want(w)
	if !p.elsewhere(old) && p.enabled == old.enabled {
		return old.show(now), nil
	}
	switch {
	case p.enabled:
		p.until = time.Time{}
	case old.enabled: // and so it hurts from now on
		p.until = now.Add(s.cfg.TTL)
	}
	if err := s.replace([]*proxy{p}); err != nil {
		return shown{}, err
	}
	return p.show(now), nil
}

// remove deletes a proxy.
func (s *Server) remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.proxies[name] == nil {
		return errProxyNotFound
	}
	return s.replace(nil, name)
}

// populate creates proxies, all or none. One that is there already stays as it is, unless it goes another way now.
func (s *Server) populate(ctx context.Context, all []*wanted) ([]shown, error) {
	for i, w := range all {
		if w == nil {
			return nil, badBody(fmt.Errorf("proxy %d is null", i+1))
		}
		if err := w.check(fmt.Sprintf(" at proxy %d", i+1)); err != nil {
			return nil, err
		}
	}
	for _, w := range all {
		if err := s.lookUp(ctx, w); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := maps.Clone(s.mu.proxies) // as they will be
	var changed []*proxy
	for _, w := range all {
		p := s.fresh(w)
		if old := names[w.Name]; old != nil && !p.elsewhere(old) {
			continue
		}
		changed = slices.DeleteFunc(changed, func(c *proxy) bool { return c.name == p.name })
		changed = append(changed, p)
		names[p.name] = p
	}
	if len(names) > maxProxies {
		return nil, tooMany("proxies", maxProxies)
	}
	if len(changed) > 0 {
		if err := s.replace(changed); err != nil {
			return nil, err
		}
	}
	list := make([]shown, len(all))
	for i, w := range all {
		list[i] = names[w.Name].show(s.cfg.Clock.Now())
	}
	return list, nil
}

// Reset removes all toxics and enables all proxies. The toxics go in any case. n is how many toxics and disabled
// proxies there were.
func (s *Server) Reset() (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	var down []*proxy
	for _, p := range s.mu.proxies {
		n += len(p.live(now))
		p.set.Store(new(set))
		if !p.enabled {
			n++
			up := p.next()
			up.enabled, up.until = true, time.Time{}
			down = append(down, up)
		}
	}
	if len(down) > 0 {
		return n, s.replace(down)
	}
	s.cfg.Carrier.Wake()
	return n, nil
}

// proxies are all, by name.
func (s *Server) proxies() map[string]shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	all := make(map[string]shown, len(s.mu.proxies))
	for name, p := range s.mu.proxies {
		all[name] = p.show(now)
	}
	return all
}

func (s *Server) proxy(name string) (shown, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.mu.proxies[name]
	if p == nil {
		return shown{}, errProxyNotFound
	}
	return p.show(s.cfg.Clock.Now()), nil
}

// Populate creates the proxies of a JSON list, as POST /populate does.
func (s *Server) Populate(ctx context.Context, list io.Reader) error {
	var all []*wanted
	if err := json.NewDecoder(io.LimitReader(list, maxBody)).Decode(&all); err != nil {
		return badBody(err)
	}
	_, err := s.populate(ctx, all)
	return err
}
