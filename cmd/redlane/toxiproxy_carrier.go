package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redlane/redlane/injector/toxiproxy"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// A toxiCarrier carries proxies of the Toxiproxy API as tcp services of one mesh proxy.
type toxiCarrier struct{ p *proxy.Proxy }

// toxiTimeouts leave the pace to client and service, as Toxiproxy does. It has no idle time either; here a
// connection that carries nothing for a day is taken for forgotten.
var toxiTimeouts = mesh.Timeouts{Connect: 30 * time.Second, Idle: 24 * time.Hour, Drain: time.Second}

func toxiMesh(routes []toxiproxy.Route) *mesh.Config {
	m := &mesh.Config{Bare: true, Timeouts: toxiTimeouts, Services: make(map[string]*mesh.Service, len(routes))}
	for _, r := range routes {
		m.Services[r.Name] = &mesh.Service{Protocol: mesh.TCP, Listen: r.Listen, Endpoints: []string{r.Upstream}}
	}
	return m
}

// Carry implements toxiproxy.Carrier.
func (c *toxiCarrier) Carry(routes []toxiproxy.Route) (map[string]string, error) {
	listens := make(map[string]string, len(routes))
	for i := range routes {
		if err := pickPort(&routes[i]); err != nil {
			return nil, err
		}
		listens[routes[i].Name] = routes[i].Listen
	}
	if err := c.p.Reload(toxiMesh(routes)); err != nil {
		return nil, fmt.Errorf("carry proxies: %w", err)
	}
	return listens, nil
}

// pickPort gives a route that asks for any port one that is free now: it is to have the same one whenever it is
// enabled again.
func pickPort(r *toxiproxy.Route) error {
	if !strings.HasSuffix(r.Listen, ":0") {
		return nil
	}
	ln, err := net.Listen("tcp", r.Listen)
	if err != nil {
		return err
	}
	r.Listen = ln.Addr().String()
	return ln.Close()
}

// Wake implements toxiproxy.Carrier.
func (c *toxiCarrier) Wake() { c.p.Reshape() }
