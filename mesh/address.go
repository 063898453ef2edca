package mesh

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// listen enters addr as a listening address of whose.
func (b *book) listen(pos conf.Pos, whose, addr string) error {
	key, err := canonical(addr)
	if err != nil {
		return pos.Errorf("listen address %q of %s: %v", addr, whose, err)
	}
	if port0(key) {
		return nil // the kernel picks a free one
	}
	for other, owner := range b.listeners {
		if collide(key, other) {
			return pos.Errorf("%s listens on %s, which is taken by %s", whose, addr, owner)
		}
	}
	b.listeners[key] = whose
	return nil
}

// instances enters addrs as the endpoints of one service in one lane.
func (b *book) instances(pos conf.Pos, lane traffic.Color, addrs []string) error {
	seen := make(map[string]bool, len(addrs))
	for _, addr := range addrs {
		key, err := canonical(addr)
		switch {
		case err != nil:
			return pos.Errorf("endpoint %q: %v", addr, err)
		case port0(key):
			return pos.Errorf("endpoint %q: port 0 cannot be called", addr)
		case seen[key]:
			return pos.Errorf("endpoint %s is listed twice", addr)
		}
		seen[key] = true
		if other, ok := b.endpoints[key]; ok && other.lane != lane {
			return pos.Errorf("endpoint %s is in lane %s and in lane %s: an instance belongs to one lane", addr, other.lane.Name(), lane.Name())
		}
		b.endpoints[key] = instance{pos, lane, addr}
	}
	return nil
}

// loops refuses endpoints that are listeners of this proxy: every request would meet itself again.
func (b *book) loops() error {
	for _, key := range slices.Sorted(maps.Keys(b.endpoints)) {
		for listener, owner := range b.listeners {
			if reaches(key, listener) {
				e := b.endpoints[key]
				return e.pos.Errorf("endpoint %s is where %s listens: the proxy would call itself", e.addr, owner)
			}
		}
	}
	return nil
}

var errNoPort = errors.New("want host:port with a literal IP, or unix:PATH")

// canonical makes the spellings of one address equal and refuses what is none.
func canonical(addr string) (string, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return "", fmt.Errorf("no path after unix:")
		}
		return addr, nil
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String(), nil
	}
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return "", errNoPort
	case host == "localhost":
		return "", fmt.Errorf("names are not looked up (did you mean %q?)", "127.0.0.1:"+port)
	case host == "":
		return "", fmt.Errorf("no host (did you mean %q?)", "0.0.0.0"+addr)
	}
	return "", errNoPort
}

func port0(key string) bool { return strings.HasSuffix(key, ":0") }

// collide reports whether two canonical addresses cannot both be bound: equal, or the same port with one
// of them on every address of the machine.
func collide(a, b string) bool {
	x, y, ok := samePort(a, b)
	return a == b || ok && (x.IsUnspecified() || y.IsUnspecified())
}

// reaches reports whether dialling the endpoint ends at the listener of this very machine.
func reaches(endpoint, listener string) bool {
	x, y, ok := samePort(endpoint, listener)
	return endpoint == listener || ok && y.IsUnspecified() && (x.IsLoopback() || x.IsUnspecified())
}

func samePort(a, b string) (x, y netip.Addr, ok bool) {
	p, errP := netip.ParseAddrPort(a)
	q, errQ := netip.ParseAddrPort(b)
	return p.Addr(), q.Addr(), errP == nil && errQ == nil && p.Port() == q.Port()
}
