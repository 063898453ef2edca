package proxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redlane/redlane/mesh"
)

// Reload puts c into force without losing a request. What it newly listens on is opened before anything
// else changes; when that does not work, or c is wrong, the configuration before stays and the error says
// why in one line. Exchanges under way end on the configuration they began with. A connection through a
// listener that is gone is closed after its next exchange, or after the drain timeout without one.
func (p *Proxy) Reload(c *mesh.Config) error {
	err := p.reload(c)
	if err != nil {
		p.reloadFailures.Add(1)
		p.cfg.Logger.Error("configuration refused, the one before stays", "error", err)
		return err
	}
	p.cfg.Logger.Info("configuration in force", "generation", p.gen.Load().number)
	return nil
}

func (p *Proxy) reload(c *mesh.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := checkIntercept(c); err != nil {
		return err
	}
	was := p.gen.Load().mesh
	switch {
	case c.Admin != was.Admin:
		return c.Errorf("admin: %q instead of %q needs a restart", c.Admin, was.Admin)
	case c.AccessLog != was.AccessLog:
		return c.Errorf("access_log: %q instead of %q needs a restart", c.AccessLog.Path, was.AccessLog.Path)
	}
	return p.swap(c)
}

// swap makes c and the present slots the current generation.
func (p *Proxy) swap(c *mesh.Config) error {
	defer p.closeCut()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.draining {
		return c.Errorf("the proxy is shutting down")
	}
	return p.swapLocked(c)
}

func (p *Proxy) swapLocked(c *mesh.Config) error {
	tls, err := p.secure(c)
	if err != nil {
		return err
	}
	return p.swapSecured(c, tls)
}

func (p *Proxy) swapSecured(c *mesh.Config, tls *secured) error {
	slots := make([]Slot, len(p.mu.slots))
	for i, s := range p.mu.slots {
		slots[i] = *s
	}
	old := p.gen.Load()
	g, err := newGeneration(p.mu.number+1, c, tls, slots, len(p.loops), old)
	if err != nil {
		return err
	}
	if _, err := p.bind(g); err != nil {
		return err
	}
	p.mu.number++
	p.leaveUnwanted(g, old)
	tls.commit()
	if p.cfg.Addresses != nil {
		p.cfg.Addresses(p.addresses(g))
	}
	p.gen.Store(g)
	p.secureListeners(g)
	if old != nil {
		p.mu.old = append(slices.DeleteFunc(p.mu.old, (*generation).quiet), old)
	}
	p.post((*loop).adopt)
	return nil
}

// Attach adds a filter while the proxy runs. Exchanges that begin from now on pass it. detach takes it out
// and returns when the last exchange that passed it is over, or with ctx's error when that ends first; the
// filter then still gets the Response halves that are due to it.
func (p *Proxy) Attach(s Slot) (detach func(context.Context) error, err error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.slots = append(p.mu.slots, &s)
	if err := p.swapLocked(p.gen.Load().mesh); err != nil {
		p.mu.slots = p.mu.slots[:len(p.mu.slots)-1]
		return nil, fmt.Errorf("attach %q: %w", s.Name, err)
	}
	return func(ctx context.Context) error { return p.detach(ctx, &s) }, nil
}

func (p *Proxy) detach(ctx context.Context, s *Slot) error {
	p.mu.Lock()
	i := slices.Index(p.mu.slots, s)
	if i < 0 {
		p.mu.Unlock()
		return nil
	}
	p.mu.slots = slices.Delete(p.mu.slots, i, i+1)
	err := p.swapLocked(p.gen.Load().mesh)
	old := slices.Clone(p.mu.old)
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("detach %q: %w", s.Name, err)
	}
	// An event that began before the swap may still begin an exchange on an old generation; the events
	// posted here come after it.
	seen := make(chan struct{}, len(p.loops))
	p.post(func(*loop) { seen <- struct{}{} })
	for range p.loops {
		select {
		case <-seen:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for slices.ContainsFunc(old, func(g *generation) bool { return !g.quiet() }) {
		if err := p.cfg.Clock.SleepUntil(ctx, p.cfg.Clock.Now().Add(2*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}
