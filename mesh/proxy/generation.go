package proxy

import (
	"net/netip"
	"sync/atomic"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

// A generation is one configuration as the loops use it. It never changes; a new one takes its place.
type generation struct {
	number   uint64
	mesh     *mesh.Config
	slots    []Slot
	route    *lanes.Filter
	services map[string]*service
	edges    map[int]*edge // by the tag of the listener
	gone     map[int]*edge // of listeners that are on their way out, see leaving.go
	newest   int           // the highest tag it knows
	addrs    map[targetKey]bool
	secured  *secured
	tickets  *ticket.Issuer // nil: none
	live     []liveCount    // per loop: exchanges that began on it and are not over
}

// liveCount is written by one loop. It has a cache line of its own, because another loop's count is
// written as often.
type liveCount struct {
	n atomic.Int64
	_ [56]byte
}

// A service is what an exchange to it needs to know.
type service struct {
	name     string
	opaque   bool // protocol tcp
	timeouts mesh.Timeouts
	chain    chain
	lanes    *lanes.Filter
	origin   *origin // nil: endpoints are spoken to in clear
}

// An edge is one listening address: the service called and, where the address is a caller's own, who calls.
type edge struct {
	service *service
	caller  string
	lane    traffic.Color
	stats   int // place of its counters in each loop, see metrics.go

	diversion *diversion // nil: nothing is redirected here
}

// newGeneration builds number from c. Endpoints that old knows keep their health.
func newGeneration(number uint64, c *mesh.Config, tls *secured, slots []Slot, loops int, old *generation) (*generation, error) {
	var route *lanes.Filter
	var issuer *ticket.Issuer
	if old != nil && old.mesh == c { // only the slots changed
		route, issuer = old.route, old.tickets
	} else {
		table, err := lanes.NewTable(c.LaneConfig())
		if err != nil {
			return nil, err
		}
		route = lanes.NewFilter(table)
		if issuer, err = newIssuer(c); err != nil {
			return nil, err
		}
	}
	g := &generation{
		number: number, mesh: c, slots: slots, route: route, secured: tls, tickets: issuer,
		services: make(map[string]*service, len(c.Services)),
		edges:    make(map[int]*edge), gone: make(map[int]*edge), addrs: make(map[targetKey]bool), live: make([]liveCount, loops),
	}
	for name := range c.Services {
		g.services[name] = &service{
			name: name, opaque: c.Services[name].Protocol == mesh.TCP, origin: tls.origins[name],
			timeouts: c.TimeoutsOf(name), chain: newChain(name, route, slots), lanes: route,
		}
		for _, ep := range route.Table().Endpoints(name) {
			g.addrs[targetKey{ep.Addr, tls.origins[name]}] = true
		}
	}
	if old != nil && old.route != route {
		g.inheritHealth(old)
	}
	return g, nil
}

// quiet reports whether no exchange that began on g is left.
func (g *generation) quiet() bool {
	for i := range g.live {
		if g.live[i].n.Load() != 0 {
			return false
		}
	}
	return true
}

// inheritHealth carries over what is known about instances that stay: a reload heals nobody.
func (g *generation) inheritHealth(old *generation) {
	type place struct {
		service, addr string
		lane          traffic.Color
	}
	known := make(map[place]*traffic.Endpoint)
	for name := range old.services {
		for _, ep := range old.route.Table().Endpoints(name) {
			known[place{name, ep.Addr, ep.Lane}] = ep
		}
	}
	for name := range g.services {
		for _, ep := range g.route.Table().Endpoints(name) {
			if was := known[place{name, ep.Addr, ep.Lane}]; was != nil {
				ep.DownUntil.Store(was.DownUntil.Load())
			}
		}
	}
}

// addrPort is zero for a unix socket.
func addrPort(addr string) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(addr)
	return ap
}
