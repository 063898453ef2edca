package replayer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

// target turns what a user calls the target into an address a driver dials. Names are looked up once, so
// that a run talks to one address.
func target(ctx context.Context, to string) (addr string, err error) {
	if strings.HasPrefix(to, "unix:") {
		return to, nil
	}
	hostPort := to
	if strings.Contains(to, "://") {
		u, err := url.Parse(to)
		switch {
		case err != nil || u.Host == "":
			return "", fmt.Errorf("replay to %q: not an address; want host:port", to)
		case u.Scheme != "http":
			return "", fmt.Errorf("replay to %q: only http is supported; end TLS in a proxy in front of the target", to)
		case strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "":
			return "", fmt.Errorf("replay to %q: a path has no place in a target; requests keep the recorded ones", to)
		}
		if hostPort = u.Host; u.Port() == "" {
			hostPort = net.JoinHostPort(u.Hostname(), "80")
		}
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || port == "" {
		return "", fmt.Errorf("replay to %q: no port; want host:port", to)
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil || number == 0 {
		return "", fmt.Errorf("replay to %q: no port %q", to, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return "", fmt.Errorf("replay to %q: look up %q: %w", to, host, err)
	}
	ip := ips[0].Unmap()
	for _, other := range ips { // as everybody's localhost listens
		if other.Unmap().Is4() {
			ip = other.Unmap()
			break
		}
	}
	return netip.AddrPortFrom(ip, uint16(number)).String(), nil
}

// probe connects once, so that a wrong address is one line before the run and not an error per request.
func probe(ctx context.Context, to, addr string, cfg *Config) error {
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	}
	d := net.Dialer{Timeout: cfg.Connect}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("replay to %q: nothing was sent: %w", to, err)
	}
	return c.Close()
}

func goroutineDriver(loops int, newHandler engine.NewHandler) (engine.Driver, error) {
	return goroutine.New(goroutine.Config{Loops: loops}, newHandler)
}
