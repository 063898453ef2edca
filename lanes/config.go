package lanes

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/redlane/redlane/traffic"
)

// Config is what a Table is built from.
type Config struct {
	// Header is one more header that carries the colour, besides x-lane and baggage. Empty: none.
	Header string
	// Fallback is the rule where neither the lane nor the service has one.
	Fallback Rule
	Services map[string]Service
}

// Service is one service and its lanes.
type Service struct {
	Endpoints []string // the baseline; addresses as the forwarder dials them
	Fallback  *Rule    // for lanes without a rule of their own; nil means Config.Fallback
	Lanes     map[traffic.Color]Lane
}

// Lane is what one service has in one lane. Without endpoints it only carries a rule.
type Lane struct {
	Endpoints []string
	Fallback  *Rule // nil means Service.Fallback
}

// rule is the rule of a lane the service says this about; the zero Lane stands for one it does not mention.
func (c *Config) rule(s Service, l Lane) Rule {
	switch {
	case l.Fallback != nil:
		return *l.Fallback
	case s.Fallback != nil:
		return *s.Fallback
	}
	return c.Fallback
}

// clone returns a copy that shares nothing with c that anyone can change.
func (c *Config) clone() Config {
	services := make(map[string]Service, len(c.Services))
	for name, s := range c.Services {
		own := Service{Endpoints: slices.Clone(s.Endpoints), Fallback: clone(s.Fallback), Lanes: make(map[traffic.Color]Lane, len(s.Lanes))}
		for color, l := range s.Lanes {
			own.Lanes[color] = Lane{Endpoints: slices.Clone(l.Endpoints), Fallback: clone(l.Fallback)}
		}
		services[name] = own
	}
	return Config{Header: c.Header, Fallback: c.Fallback, Services: services}
}

func clone(r *Rule) *Rule {
	if r == nil {
		return nil
	}
	own := *r
	return &own
}

func (c *Config) check() error {
	if c.Header != "" {
		if !isToken([]byte(c.Header)) {
			return fmt.Errorf("lane header %q: not a header name", c.Header)
		}
		if strings.EqualFold(c.Header, headerName) || strings.EqualFold(c.Header, baggageName) {
			return fmt.Errorf("lane header %q: always read, name another or none", c.Header)
		}
	}
	home := make(map[string]traffic.Color) // canonical address → lane
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if name == "" {
			return errors.New("service without a name")
		}
		if err := settle(home, name, "", s.Endpoints); err != nil {
			return err
		}
		for _, color := range slices.Sorted(maps.Keys(s.Lanes)) {
			if !color.Valid() {
				return fmt.Errorf("service %s: lane %q: not a colour (up to %d of a-z, 0-9 and inner hyphens)", name, color, traffic.MaxColor)
			}
			if color == "baseline" {
				return fmt.Errorf("service %s: lane %q: the name is taken by uncoloured traffic", name, color)
			}
			if err := settle(home, name, color, s.Lanes[color].Endpoints); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle enters addrs as instances of lane. One address is one instance, and an instance belongs to one
// lane, whatever the service: shared by two lanes it would be the way out of both.
func settle(home map[string]traffic.Color, service string, lane traffic.Color, addrs []string) error {
	seen := make(map[string]bool, len(addrs))
	for _, addr := range addrs {
		a := canonical(addr)
		if a == "" {
			return fmt.Errorf("service %s: lane %s: endpoint without an address", service, lane.Name())
		}
		if seen[a] {
			return fmt.Errorf("service %s: lane %s: endpoint %s is listed twice", service, lane.Name(), addr)
		}
		seen[a] = true
		if other, ok := home[a]; ok && other != lane {
			return fmt.Errorf("service %s: endpoint %s is in lane %s and in lane %s: an instance belongs to one lane", service, addr, other.Name(), lane.Name())
		}
		home[a] = lane
	}
	return nil
}

// canonical makes spellings of one literal address equal; names are compared as written, case ignored.
func canonical(addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
	}
	if strings.HasPrefix(addr, "unix:") {
		return addr
	}
	return strings.ToLower(strings.TrimSpace(addr))
}
