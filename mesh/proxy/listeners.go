package proxy

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/mesh"
)

// A listening is one open listener. It stays open over reloads as long as its address is wanted, also
// when the address now belongs to another service or caller.
type listening struct {
	tag int
	engine.Listener
}

// A place is a listening address the configuration asks for.
type place struct {
	service, caller string // caller as in the file: service or service@colour; empty for the edge of the mesh
	addr            string
}

// key tells listeners apart: by address, where the address is one.
func (p place) key() string {
	if strings.HasSuffix(p.addr, ":0") {
		return p.service + " " + p.caller + " " + p.addr
	}
	return p.addr
}

// places lists all listening addresses in a fixed order.
func places(c *mesh.Config) (all []place) {
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if s.Listen != "" {
			all = append(all, place{name, "", s.Listen})
		}
		for _, caller := range slices.Sorted(maps.Keys(s.Callers)) {
			all = append(all, place{name, caller, s.Callers[caller]})
		}
	}
	return all
}

// bind opens what is missing for g and enters g's edges. On an error nothing has changed. The caller holds
// mu; opened lists what is to be closed should g not come into force.
func (p *Proxy) bind(g *generation) (opened []string, err error) {
	for _, pl := range places(g.mesh) {
		ln := p.mu.listeners[pl.key()]
		if ln == nil {
			tag := p.mu.tags + 1
			l, err := p.driver.Listen(engine.Bind{Addr: pl.addr, Tag: tag})
			if err != nil {
				p.unbind(opened)
				return nil, fmt.Errorf("service %s: %w", pl.service, err)
			}
			p.mu.tags = tag
			ln = &listening{tag, l}
			p.mu.listeners[pl.key()] = ln
			opened = append(opened, pl.key())
		}
		caller, color, _ := mesh.SplitCaller(pl.caller)
		g.edges[ln.tag] = &edge{service: g.services[pl.service], caller: caller, lane: color, stats: p.edgeNumber(pl.service, caller)}
	}
	g.newest = p.mu.tags
	return opened, nil
}

func (p *Proxy) unbind(keys []string) {
	for _, k := range keys {
		p.mu.listeners[k].Close()
		delete(p.mu.listeners, k)
	}
}

// closeUnwanted closes listeners that g does not ask for.
func (p *Proxy) closeUnwanted(g *generation) {
	for k, ln := range p.mu.listeners {
		if g.edges[ln.tag] == nil {
			p.unbind([]string{k})
		}
	}
}

// edgeNumber is where the counters of an edge are, the same in every generation.
func (p *Proxy) edgeNumber(service, caller string) int {
	k := place{service: service, caller: caller}
	n, known := p.mu.edgeNumbers[k]
	if !known {
		n = len(p.mu.edgeNumbers)
		p.mu.edgeNumbers[k] = n
	}
	return n
}

// Addr is where requests to service are taken from caller, which is written as in the configuration and
// empty for the edge of the mesh. It is nil when there is no such listener.
func (p *Proxy) Addr(service, caller string) net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pl := range places(p.gen.Load().mesh) {
		if pl.service == service && pl.caller == caller {
			if ln := p.mu.listeners[pl.key()]; ln != nil {
				return ln.Addr()
			}
		}
	}
	return nil
}
