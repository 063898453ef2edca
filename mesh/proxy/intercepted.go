package proxy

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redlane/redlane/internal/sockowner"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

// A diversion is what makes an edge the place where intercepted connections arrive. Those that were meant
// for an address of a service go on as if they had come in through an edge of that service; the rest pass
// through to where they were going, and the edge itself is theirs.
//
//	program ─► kernel ─► diversion ─┬─► virtual[10.0.0.5:80] ─► session or stream of the service
//	                                └─► passthrough ─► 10.9.9.9:5432
type diversion struct {
	listen  netip.AddrPort
	uid     int // of this process
	virtual map[netip.AddrPort]*edge
	homes   map[netip.AddrPort][]string // which services an instance is of, by its own address
	table   *lanes.Table
}

// divert makes the edge of g's intercept.
func (p *Proxy) divert(g *generation) *edge {
	in := g.mesh.Intercept
	caller, color, _ := mesh.SplitCaller(in.Caller)
	d := &diversion{
		listen: addrPort(in.Listen), uid: in.UID,
		virtual: make(map[netip.AddrPort]*edge), homes: make(map[netip.AddrPort][]string), table: g.route.Table(),
	}
	for to, name := range g.mesh.VirtualAddresses() {
		d.virtual[to] = &edge{service: g.services[name], caller: caller, lane: color, stats: p.edgeNumber(name, caller)}
	}
	for name := range g.services {
		for _, ep := range g.route.Table().Endpoints(name) {
			d.homes[addrPort(ep.Addr)] = append(d.homes[addrPort(ep.Addr)], name)
		}
	}
	through := &service{name: mesh.Passthrough, opaque: true, timeouts: g.mesh.TimeoutsOf(""), chain: newChain(mesh.Passthrough, nil, g.slots)}
	return &edge{service: through, caller: caller, lane: color, stats: p.edgeNumber(mesh.Passthrough, caller), diversion: d}
}

// edge is where a connection through the listener with this tag belongs; nil: nowhere any more.
func (g *generation) edge(tag int, to netip.AddrPort) *edge {
	e := g.edges[tag]
	if e != nil && e.diversion != nil {
		if v := e.diversion.virtual[to]; v != nil {
			return v
		}
	}
	return e
}

// refusals count intercepted connections that must not be taken.
type refusals struct {
	itself  atomic.Uint64 // meant for the intercepting listener: nobody redirected it
	loop    atomic.Uint64 // opened by this very proxy: the rules do not spare its user
	unknown atomic.Uint64 // the kernel does not say who opened it
}

// spares reports whether an intercepted connection may be taken. Whatever the rules in the kernel say, one
// that this proxy has opened itself may not: it would be opened again, and again.
func (l *loop) spares(d *diversion, from, to netip.AddrPort) bool {
	r := &l.stats.refused
	if !to.IsValid() || to == d.listen {
		r.itself.Add(1)
		return false
	}
	switch uid, err := sockowner.Owner(from, to); {
	case errors.Is(err, sockowner.ErrNone): // from another machine, or gone
	case err != nil:
		r.unknown.Add(1)
		return false
	case uid == d.uid:
		r.loop.Add(1)
		return false
	}
	return true
}

// passThrough sends a stream to where it was going. Nobody gets around the rules of his lane by naming an
// instance that they do not let him use.
func (s *session) passThrough(d *diversion) {
	x := s.x
	x.Color = x.SrcLane
	if !d.allows(s.to, x.Color, x.Start) {
		x.LaneReason = traffic.LaneEscape
		s.refuseStream(traffic.FlagLaneEscape)
		return
	}
	x.Endpoints = []*traffic.Endpoint{{Addr: s.to.String()}}
	s.decide()
}

// allows reports whether traffic of colour c may use the instance at addr, or addr is nobody we know.
func (d *diversion) allows(addr netip.AddrPort, c traffic.Color, now int64) bool {
	homes := d.homes[addr]
	for _, service := range homes {
		eps, _, _ := d.table.Resolve(service, c, now)
		if slices.ContainsFunc(eps, func(ep *traffic.Endpoint) bool { return addrPort(ep.Addr) == addr }) {
			return true
		}
	}
	return len(homes) == 0
}

// outsider is a target that is used once: the loop keeps nothing of it.
func (l *loop) outsider(to netip.AddrPort, addr string) *target {
	return &target{loop: l, addr: addr, addrPort: to, retired: true}
}

// checkIntercept finds out at the start what would otherwise refuse every intercepted connection, or loop.
func checkIntercept(c *mesh.Config) error {
	if c.Intercept == nil {
		return nil
	}
	if uid := os.Geteuid(); uid != c.Intercept.UID {
		return c.Intercept.Errorf("uid %d: this proxy runs as user %d, whose connections would be sent back to it", c.Intercept.UID, uid)
	}
	if _, err := sockowner.Owner(addrPort("127.0.0.1:1"), addrPort("127.0.0.1:1")); err != nil && !errors.Is(err, sockowner.ErrNone) {
		return c.Intercept.Errorf("%v", err)
	}
	return nil
}

var descRefused = desc("intercept_refused_total", "Intercepted connections that were reset: meant for the listener itself, opened by this proxy (loop), of unknown origin.", "reason")

func (p *Proxy) collectRefused(count func(d *prometheus.Desc, v uint64, labels ...string)) {
	var itself, loop, unknown uint64
	for _, l := range p.loops {
		r := &l.stats.refused
		itself += r.itself.Load()
		loop += r.loop.Load()
		unknown += r.unknown.Load()
	}
	count(descRefused, itself, "itself")
	count(descRefused, loop, "loop")
	count(descRefused, unknown, "unknown")
}
