package replayer

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
)

// A target is what a user calls the target, looked up: once, so that a run talks to the same addresses from
// its beginning to its end.
type target struct {
	to    string
	addrs []string    // as drivers dial them; sessions are spread over all of them
	tls   *tls.Config // nil: in clear
}

func lookUp(ctx context.Context, cfg *Config) (*target, error) {
	to := cfg.To
	if strings.HasPrefix(to, "unix:") {
		return &target{to: to, addrs: []string{to}}, nil
	}
	hostPort, secured := to, false
	if strings.Contains(to, "://") {
		u, err := url.Parse(to)
		switch {
		case err != nil || u.Host == "":
			return nil, &ConfigError{fmt.Errorf("replay to %q: not an address; want host:port", to)}
		case u.Scheme != "http" && u.Scheme != "https":
			return nil, &ConfigError{fmt.Errorf("replay to %q: cannot speak %s; want http:// or https://", to, u.Scheme)}
		case strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "":
			return nil, &ConfigError{fmt.Errorf("replay to %q: a path has no place in a target; requests keep the recorded ones", to)}
		}
		secured = u.Scheme == "https"
		if hostPort = u.Host; u.Port() == "" {
			hostPort = net.JoinHostPort(u.Hostname(), map[bool]string{false: "80", true: "443"}[secured])
		}
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || port == "" {
		return nil, &ConfigError{fmt.Errorf("replay to %q: no port; want host:port", to)}
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil || number == 0 {
		return nil, &ConfigError{fmt.Errorf("replay to %q: no port %q", to, port)}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return nil, fmt.Errorf("replay to %q: nothing was sent: %w", to, err)
	}
	t := &target{to: to}
	for _, ip := range oneFamily(ips) {
		t.addrs = append(t.addrs, netip.AddrPortFrom(ip, uint16(number)).String())
	}
	switch {
	case secured:
		t.tls = tlsConfig(cfg.TLS, host)
	case cfg.TLS != nil:
		return nil, &ConfigError{fmt.Errorf("replay to %q: options of TLS are for https:// only", to)}
	}
	return t, nil
}

// oneFamily are the IPv4 addresses of a name, as everybody's localhost listens, or the others where it has none.
func oneFamily(ips []netip.Addr) (out []netip.Addr) {
	var others []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			out = append(out, ip)
		} else {
			others = append(others, ip)
		}
	}
	if len(out) == 0 {
		return others
	}
	return out
}

// tlsConfig is c, which may be nil, for a server called host, spoken to in HTTP/1.1.
func tlsConfig(c *tls.Config, host string) *tls.Config {
	if c = c.Clone(); c == nil {
		c = new(tls.Config)
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.NextProtos = []string{"http/1.1"}
	c.DynamicRecordSizingDisabled = true
	return c
}

// probe connects to each address once, so that a wrong address, or a certificate that nobody trusts, is one
// line before the run and not an error per request.
func (t *target) probe(ctx context.Context, timeout time.Duration) error {
	for _, addr := range t.addrs {
		if err := t.probeOne(ctx, addr, timeout); err != nil {
			if len(t.addrs) > 1 {
				return fmt.Errorf("replay to %q: nothing was sent: one of %d addresses: %w", t.to, len(t.addrs), err)
			}
			return fmt.Errorf("replay to %q: nothing was sent: %w", t.to, err)
		}
	}
	return nil
}

func (t *target) probeOne(ctx context.Context, addr string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := t.connect(ctx, addr)
	if err == nil {
		_ = c.Close() // that it would open is what we wanted to know
	}
	return err
}

// connect opens a connection as the drivers' are, for a question that is not the run's.
func (t *target) connect(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || t.tls == nil {
		return c, err
	}
	s := tls.Client(c, t.tls)
	if err := s.HandshakeContext(ctx); err != nil {
		_ = c.Close() // err says more
		return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
	}
	return s, nil
}

// newDriver makes the driver of a run, with TLS where the target has it.
func (t *target) newDriver(cfg *Config, newHandler engine.NewHandler) (engine.Driver, error) {
	if t.tls == nil {
		return cfg.Driver(cfg.Workers, newHandler)
	}
	below := func(h engine.NewHandler) (engine.Driver, error) { return cfg.Driver(cfg.Workers, h) }
	return secure.New(secure.Config{Timeout: cfg.Connect}, below, newHandler)
}

// A dialer opens the connections of one loop.
type dialer struct {
	loop   engine.Loop
	addrs  []string
	secure *secure.Loop  // nil: in clear
	tls    []*tls.Config // by address: each has its own tickets, and each loop, which needs no lock then
}

func (t *target) dialer(l engine.Loop) dialer {
	d := dialer{loop: l, addrs: t.addrs}
	if t.tls == nil {
		return d
	}
	d.secure = secure.Of(l)
	for range t.addrs {
		c := t.tls.Clone()
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		d.tls = append(d.tls, c)
	}
	return d
}

// dial opens a connection for s, to the same address every time.
func (d *dialer) dial(s *session, timeout time.Duration) engine.Handle {
	i := 0
	if n := len(d.addrs); n > 1 {
		i = int(mix(^s.id) % uint64(n)) // not as loopOf does: each loop has sessions of every address
	}
	if d.secure != nil {
		return d.secure.DialTLS(d.addrs[i], timeout, d.tls[i])
	}
	return d.loop.Dial(d.addrs[i], timeout)
}
