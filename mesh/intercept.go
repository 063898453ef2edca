package mesh

import (
	"maps"
	"math"
	"net/netip"
	"slices"

	"github.com/redlane/redlane/internal/conf"
)

// Passthrough is the name under which intercepted connections go that were meant for no service.
const Passthrough = "passthrough"

// An Intercept takes connections of programs that know nothing of the proxy: `redlane intercept on` has the
// kernel redirect them here (package mesh/intercept). A connection that was meant for an address of a
// service is treated as if it had come through that service's listener for the caller; any other passes
// through to where it was going, as opaque bytes.
type Intercept struct {
	conf.Pos `yaml:"-"`

	// Listen is where redirected connections arrive: 127.0.0.1:PORT for IPv4, [::1]:PORT for IPv6, because
	// that is where the kernel redirects to. Required, and not port 0.
	Listen string `yaml:"listen"`

	// UID is the user that the proxy runs as, and nobody else. Its connections are not redirected, or the
	// proxy would meet itself. Required, and not 0: root runs all kinds of programs.
	UID int `yaml:"uid"`

	// Caller is whose connections these are: service or service@colour. Empty: unknown.
	Caller string `yaml:"caller,omitempty"`

	// Ports are intercepted whatever the address, but for this machine's own. The addresses of services are
	// intercepted in any case.
	Ports []uint16 `yaml:"ports,omitempty"`
}

// VirtualAddresses is where clients of each service connect that do not know the proxy.
func (c *Config) VirtualAddresses() map[netip.AddrPort]string {
	all := make(map[netip.AddrPort]string)
	for name, s := range c.Services {
		for _, addr := range s.Addresses {
			if ap, err := netip.ParseAddrPort(addr); err == nil {
				all[ap] = name
			}
		}
	}
	return all
}

// intercept checks the listener, and the addresses of services that need one.
func (b *book) intercept() error {
	c := b.config
	in := c.Intercept
	if in == nil {
		for _, name := range slices.Sorted(maps.Keys(c.Services)) {
			if s := c.Services[name]; s != nil && len(s.Addresses) > 0 {
				return s.Errorf("addresses: nothing redirects connections here without intercept")
			}
		}
		return nil
	}
	pos := in.Pos
	if pos.File == "" {
		pos = conf.Pos{File: c.File, Line: c.Line, Path: "intercept"}
	}
	listen, err := netip.ParseAddrPort(in.Listen)
	switch {
	case err != nil || listen.Port() == 0 || listen.Addr() != loopback4 && listen.Addr() != netip.IPv6Loopback():
		return pos.Errorf("listen %q: want 127.0.0.1:PORT or [::1]:PORT, where the kernel redirects to", in.Listen)
	case in.UID <= 0 || in.UID >= math.MaxUint32:
		return pos.Errorf("uid %d: want the number of the user that the proxy runs as, not root", in.UID)
	case slices.Contains(in.Ports, listen.Port()) || slices.Contains(in.Ports, 0):
		return pos.Errorf("ports: neither 0 nor %d, where the proxy listens", listen.Port())
	}
	if in.Caller != "" {
		if err := b.caller(pos, "caller", in.Caller); err != nil {
			return err
		}
	}
	return b.listen(pos, "intercept", in.Listen)
}

// addresses enters those of one service.
func (b *book) addresses(pos conf.Pos, name string, addrs []string) error {
	in := b.config.Intercept
	for _, addr := range addrs {
		ap, err := netip.ParseAddrPort(addr)
		switch {
		case err != nil || ap.Port() == 0 || ap.Addr().IsUnspecified():
			return pos.Errorf("addresses: %q: want host:port with a literal IP", addr)
		case b.virtual[ap] != "":
			return pos.Errorf("addresses: %s is taken by service %s", addr, b.virtual[ap])
		}
		if in != nil {
			if listen, err := netip.ParseAddrPort(in.Listen); err == nil && listen == ap || err == nil && listen.Addr().Is4() != ap.Addr().Is4() {
				return pos.Errorf("addresses: %s cannot be redirected to %s", addr, in.Listen)
			}
		}
		b.virtual[ap] = name
	}
	return nil
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
