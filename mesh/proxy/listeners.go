package proxy

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
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
	if p.service == mesh.Passthrough {
		return p.service + " " + p.addr // not to be taken for one where nothing is redirected
	}
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
	if c.Intercept != nil {
		all = append(all, place{service: mesh.Passthrough, addr: c.Intercept.Listen})
	}
	return all
}

// bind opens what is missing for g and enters g's edges. On an error nothing has changed. The caller holds
// mu; opened lists what is to be closed should g not come into force.
func (p *Proxy) bind(g *generation) (opened []string, err error) {
	for _, pl := range places(g.mesh) {
		ln := p.mu.listeners[pl.key()]
		switch {
		case ln == nil && p.mu.draining: // only the filters change any more
			continue
		case ln == nil:
			if ln, err = p.open(pl, g); err != nil {
				p.unbind(opened)
				return nil, fmt.Errorf("service %s: %w", pl.service, err)
			}
			p.mu.listeners[pl.key()] = ln
			opened = append(opened, pl.key())
		}
		if pl.service == mesh.Passthrough {
			g.edges[ln.tag] = p.divert(g)
			continue
		}
		caller, color, _ := mesh.SplitCaller(pl.caller)
		g.edges[ln.tag] = &edge{service: g.services[pl.service], caller: caller, lane: color, stats: p.edgeNumber(pl.service, caller)}
	}
	g.newest = p.mu.tags
	return opened, nil
}

// open opens the listener of a place, or takes it over, or calls it back.
func (p *Proxy) open(pl place, g *generation) (*listening, error) {
	if ln := p.comeBack(pl.key()); ln != nil {
		return ln, nil
	}
	tag := p.mu.tags + 1
	p.secureListener(tag, g.secured.servers[pl.service]) // before the first connection
	l, err := p.driver.Listen(engine.Bind{Addr: pl.addr, Tag: tag, Redirected: pl.service == mesh.Passthrough, Sockets: p.adopt(pl.key())})
	if err != nil {
		return nil, err
	}
	p.mu.tags = tag
	return &listening{tag, l}, nil
}

func (p *Proxy) unbind(keys []string) {
	for _, k := range keys {
		p.mu.listeners[k].Close()
		delete(p.mu.listeners, k)
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

// addresses lists the TCP addresses that g has to do with. The caller holds mu.
func (p *Proxy) addresses(g *generation) (listens, connects []netip.AddrPort) {
	for _, pl := range places(g.mesh) {
		if a, ok := p.mu.listeners[pl.key()].Addr().(*net.TCPAddr); ok {
			listens = append(listens, a.AddrPort())
		}
	}
	for k := range g.addrs {
		if a := addrPort(k.addr); a.IsValid() {
			connects = append(connects, a)
		}
	}
	return listens, connects
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
