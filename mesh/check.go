package mesh

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// Check reports the first thing wrong with c. It is called by Parse, and by the proxy for a Config that
// a program made.
func (c *Config) Check() error {
	if len(c.Services) == 0 && !c.Bare {
		return c.Errorf("no services")
	}
	if err := checkTimeouts(c.Pos, &c.Timeouts); err != nil {
		return err
	}
	if err := c.Tickets.check(c); err != nil {
		return err
	}
	if err := c.Drills.check(c); err != nil {
		return err
	}
	b := &book{config: c, lanes: c.lanesByService(), listeners: map[string]string{}, endpoints: map[string]instance{}, virtual: map[netip.AddrPort]string{}}
	if c.Admin != "" {
		if err := b.listen(c.Pos, "admin", c.Admin); err != nil {
			return err
		}
	}
	if err := b.intercept(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if err := b.service(name, c.Services[name]); err != nil {
			return err
		}
	}
	if err := b.loops(); err != nil {
		return err
	}
	// What the lane table asks for beyond this, it says itself.
	if _, err := lanes.NewTable(c.LaneConfig()); err != nil {
		return c.Errorf("%v", err)
	}
	return nil
}

// LaneConfig is what the lane table is built from.
func (c *Config) LaneConfig() lanes.Config {
	lc := lanes.Config{Header: c.Lanes.Header, Fallback: c.Lanes.Fallback, Services: make(map[string]lanes.Service, len(c.Services))}
	for name, s := range c.Services {
		ls := lanes.Service{Endpoints: s.Endpoints, Fallback: s.Fallback, Lanes: make(map[traffic.Color]lanes.Lane, len(s.Lanes))}
		for color, l := range s.Lanes {
			ls.Lanes[color] = lanes.Lane{Endpoints: l.Endpoints, Fallback: l.Fallback}
		}
		lc.Services[name] = ls
	}
	return lc
}

// A book remembers which address is whose while a Config is checked.
type book struct {
	config    *Config
	lanes     []string            // all colours that any service has
	listeners map[string]string   // canonical address → whose
	endpoints map[string]instance // canonical address → whose
	virtual   map[netip.AddrPort]string
}

type instance struct {
	pos  conf.Pos
	lane traffic.Color
	addr string
}

func (b *book) service(name string, s *Service) error {
	if s == nil {
		return b.config.Errorf("services.%s: empty", name)
	}
	pos := s.Pos
	if pos.File == "" { // made by a program, or a key with nothing behind it
		pos = conf.Pos{File: b.config.File, Line: b.config.Line, Path: "services." + name}
	}
	switch {
	case name == "" || strings.ContainsAny(name, "@ \t\r\n\""):
		return pos.Errorf("service name %q: want a word without blanks, quotes and @", name)
	case name == Passthrough:
		return pos.Errorf("this is the name of intercepted connections that are for no service: choose another")
	case s.Listen == "" && len(s.Callers) == 0 && len(s.Addresses) == 0:
		return pos.Errorf("no listen address and no callers: nothing can reach it")
	case len(s.Endpoints) == 0 && len(s.Lanes) == 0:
		return pos.Errorf("no endpoints")
	}
	if err := s.Protocol.check(pos); err != nil {
		return err
	}
	if err := checkTimeouts(pos, &s.Timeouts); err != nil {
		return err
	}
	if err := s.checkTLS(pos); err != nil {
		return err
	}
	if s.Listen != "" {
		if err := b.listen(pos, "service "+name, s.Listen); err != nil {
			return err
		}
	}
	for _, caller := range slices.Sorted(maps.Keys(s.Callers)) {
		if err := b.caller(pos, "callers", caller); err != nil {
			return err
		}
		if err := b.listen(pos, "callers."+caller+" of service "+name, s.Callers[caller]); err != nil {
			return err
		}
	}
	if err := b.addresses(pos, name, s.Addresses); err != nil {
		return err
	}
	if err := b.instances(pos, "", s.Endpoints); err != nil {
		return err
	}
	for _, color := range slices.Sorted(maps.Keys(s.Lanes)) {
		l := s.Lanes[color]
		at := l.Pos
		if at.File == "" {
			at = pos
		}
		if !color.Valid() || color == "baseline" {
			return at.Errorf("%q is no colour: want up to %d of a-z, 0-9 and inner hyphens, and not the word baseline", color, traffic.MaxColor)
		}
		if err := b.instances(at, color, l.Endpoints); err != nil {
			return err
		}
	}
	return nil
}

// caller checks what names a caller: service or service@colour.
func (b *book) caller(pos conf.Pos, where, key string) error {
	name, color, coloured := SplitCaller(key)
	if b.config.Services[name] == nil {
		return pos.Errorf("%s: no service %q%s", where, name, conf.DidYouMean(name, slices.Sorted(maps.Keys(b.config.Services))))
	}
	if !coloured {
		return nil
	}
	if !color.Valid() {
		return pos.Errorf("%s: %q: %q is no colour", where, key, color)
	}
	if !slices.Contains(b.lanes, string(color)) {
		return pos.Errorf("%s: %q: no service has a lane %q%s", where, key, color, conf.DidYouMean(string(color), b.lanes))
	}
	return nil
}

// SplitCaller splits the key of a caller, service or service@colour.
func SplitCaller(key string) (service string, color traffic.Color, coloured bool) {
	service, c, coloured := strings.Cut(key, "@")
	return service, traffic.Color(c), coloured
}

func (c *Config) lanesByService() (all []string) {
	for _, s := range c.Services {
		if s == nil {
			continue
		}
		for color := range s.Lanes {
			all = append(all, string(color))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func checkTimeouts(pos conf.Pos, t *Timeouts) error {
	for _, n := range t.named() {
		if n.value < 0 {
			return pos.Errorf("timeouts.%s: %v is negative", n.key, n.value)
		}
	}
	return nil
}
