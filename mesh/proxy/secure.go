package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/mesh"
)

// newDriver puts TLS between the engine and the loops. A listener in clear costs a look into a slice.
func (p *Proxy) newDriver() (*secure.Driver, error) {
	return secure.New(secure.Config{Server: p.server, Logger: p.cfg.Logger}, p.newEngine, p.newLoop)
}

// server is how connections of the listener with this tag are secured.
func (p *Proxy) server(tag int) *secure.Server {
	if all := p.terminate.Load(); all != nil {
		return (*all)[tag]
	}
	return nil
}

// secureListener is for a listener about to be opened.
func (p *Proxy) secureListener(tag int, s *secure.Server) {
	all := make(map[int]*secure.Server)
	if was := p.terminate.Load(); was != nil {
		maps.Copy(all, *was)
	}
	all[tag] = s
	p.terminate.Store(&all)
}

// secureListeners is for all listeners of a generation that comes into force.
func (p *Proxy) secureListeners(g *generation) {
	all := make(map[int]*secure.Server, len(g.edges))
	for tag, e := range g.edges {
		all[tag] = g.secured.servers[e.service.name]
	}
	if was := p.terminate.Load(); was != nil {
		for tag := range g.gone { // as it was, for who still waits there
			all[tag] = (*was)[tag]
		}
	}
	p.terminate.Store(&all)
}

// open dials, and secures what it has dialled.
func (t *target) open(timeout time.Duration) handle {
	if t.tls != nil {
		return t.loop.secure.DialTLS(t.addr, timeout, t.tls)
	}
	return t.loop.Dial(t.addr, timeout)
}

// A secured is the TLS of one configuration. What has the same inputs as in the configuration before is
// the same object, so that the tickets of clients and our own, and idle connections, stay good.
type secured struct {
	servers map[string]*secure.Server // by service
	origins map[string]*origin        // by service

	pairs   map[pairKey]*pair
	configs map[serverKey]*tls.Config
	byKey   map[originKey]*origin
	fresh   []func() // new contents of pairs, for commit
}

// A serverKey is all that a server's TLS depends on, but for the certificate, which may change under it.
type serverKey struct {
	pair     pairKey
	clientCA string
	sum      uint64 // of its content
	optional bool
	min      uint16
	opaque   bool
}

// An originKey is the same of a client's.
type originKey struct {
	pair       pairKey
	ca         string
	sum        uint64
	serverName string
	insecure   bool
	min        uint16
	opaque     bool
}

// An origin is how the endpoints of a service are spoken to.
type origin struct{ base *tls.Config }

// protocols is what we say we speak. A client that only speaks others is refused with
// no_application_protocol (RFC 7301, 3.2); one that does not say is believed to speak this. What an opaque
// service speaks we do not know.
func protocols(opaque bool) []string {
	if opaque {
		return nil
	}
	return []string{"http/1.1"}
}

// clearToTLS answers a request in clear on a port that has TLS.
var clearToTLS = http1.AppendReply(nil, 400, "this port speaks TLS\n", true, false)

// secure reads the files that c names. Nothing has changed until commit.
func (p *Proxy) secure(c *mesh.Config) (*secured, error) {
	g := p.gen.Load()
	if g == nil {
		return newSecured(c, new(secured))
	}
	if g.mesh == c { // only the slots changed
		return g.secured, nil
	}
	return newSecured(c, g.secured)
}

func newSecured(c *mesh.Config, old *secured) (*secured, error) {
	n := &secured{
		servers: make(map[string]*secure.Server), origins: make(map[string]*origin),
		pairs: make(map[pairKey]*pair), configs: make(map[serverKey]*tls.Config), byKey: make(map[originKey]*origin),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Services)) { // in order: which mistake is told must not be chance
		s := c.Services[name]
		if s.TLS != nil {
			config, err := n.server(s, old)
			if err != nil {
				return nil, err
			}
			server := &secure.Server{TLS: config, Timeout: c.TimeoutsOf(name).Header}
			if s.Protocol != mesh.TCP {
				server.NotTLS = clearToTLS
			}
			n.servers[name] = server
		}
		if s.UpstreamTLS != nil {
			o, err := n.origin(s, old)
			if err != nil {
				return nil, err
			}
			n.origins[name] = o
		}
	}
	return n, nil
}

// commit puts new certificates into use.
func (n *secured) commit() {
	for _, f := range n.fresh {
		f()
	}
	n.fresh = nil
}

func (n *secured) server(s *mesh.Service, old *secured) (*tls.Config, error) {
	t := s.TLS
	certificate, err := n.pair(t.Cert, t.Key, old)
	if err != nil {
		return nil, err
	}
	pool, pem, err := mesh.LoadPool(t.ClientCA)
	if err != nil {
		return nil, err
	}
	k := serverKey{certificate.key, t.ClientCA.Path, xxhash.Sum64(pem), t.ClientAuth == "optional", t.MinTLS(), s.Protocol == mesh.TCP}
	config := n.configs[k]
	if config == nil {
		config = old.configs[k]
	}
	if config == nil {
		config = &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.now.Load(), nil },
			ClientCAs:      pool,
			ClientAuth:     clientAuth(pool, k.optional),
			MinVersion:     k.min,
			NextProtos:     protocols(k.opaque),

			// Small first records show a browser its first bytes sooner, and cost every other peer more of them.
			DynamicRecordSizingDisabled: true,
		}
	}
	n.configs[k] = config
	return config, nil
}

func clientAuth(pool *x509.CertPool, optional bool) tls.ClientAuthType {
	switch {
	case pool == nil:
		return tls.NoClientCert
	case optional:
		return tls.VerifyClientCertIfGiven
	}
	return tls.RequireAndVerifyClientCert
}

func (n *secured) origin(s *mesh.Service, old *secured) (*origin, error) {
	t := s.UpstreamTLS
	certificate, err := n.pair(t.Cert, t.Key, old)
	if err != nil {
		return nil, err
	}
	pool, pem, err := mesh.LoadPool(t.CA)
	if err != nil {
		return nil, err
	}
	k := originKey{ca: t.CA.Path, sum: xxhash.Sum64(pem), serverName: t.ServerName, insecure: t.InsecureSkipVerify, min: t.MinTLS(), opaque: s.Protocol == mesh.TCP}
	if certificate != nil {
		k.pair = certificate.key
	}
	o := n.byKey[k]
	if o == nil {
		o = old.byKey[k]
	}
	if o == nil {
		o = &origin{&tls.Config{
			RootCAs: pool, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify, MinVersion: k.min,
			NextProtos: protocols(k.opaque), DynamicRecordSizingDisabled: true,
		}}
		if certificate != nil {
			o.base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate.now.Load(), nil }
		}
	}
	n.byKey[k] = o
	return o, nil
}

// config is what one loop's target at addr dials with. It has tickets of its own: those of another
// endpoint are worth nothing there, and those of another loop would need its lock.
func (o *origin) config(addr string) *tls.Config {
	if o == nil {
		return nil
	}
	c := o.base.Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(addr)
	}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return c
}

var (
	descHandshakes = desc("tls_handshakes_total", "TLS handshakes by side, server or client, and how they ended.", "side", "result")
	descShaking    = desc("tls_handshakes_active", "Connections of clients that are at their TLS handshake.")
	descBadCerts   = desc("tls_reload_failures_total", "New certificates that were refused; the ones before stayed in use.")
	descExpiry     = desc("tls_certificate_expiry_timestamp_seconds", "When the certificate in use ends, in Unix seconds.", "cert")
)

func (p *Proxy) collectTLS(count func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, int64, ...string)) {
	for _, c := range p.driver.Handshakes() {
		count(descHandshakes, c.N, c.Side, c.Result)
	}
	gauge(descShaking, int64(p.driver.Handshaking()))
	count(descBadCerts, p.certFailures.Load())
	for path, end := range p.gen.Load().secured.expiries() {
		gauge(descExpiry, end.Unix(), path)
	}
}
