package toxiproxy

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// A Carrier carries the connections of all proxies that are enabled.
type Carrier interface {
	// Carry makes routes all that is carried, in place of what was. When it returns, each of them takes
	// connections, and what is no longer among them takes none: whoever connects is refused. It says where each
	// listens, by name. After an error nothing has changed.
	Carry(routes []Route) (listens map[string]string, err error)
	// Wake has the shaper of every open connection asked anew.
	Wake()
}

// A Route is one proxy as a Carrier needs to know it. Exchanges of its connections have Name as their Dst.
type Route struct {
	Name             string // without blanks, quotes and @
	Listen, Upstream string // host:port with a literal IP; port 0 of Listen is any free one
}

// Config of a Server. Zero fields take the default named beside them.
type Config struct {
	Carrier Carrier       // required
	Clock   clock.Clock   // nil means clock.System
	Seed    uint64        // of which connections toxics take, and of what they draw
	TTL     time.Duration // how long a toxic lasts, or enabled: false, after it was last set; 0 means DefaultTTL
	Version string        // what GET /version says; empty means "redlane"

	// Resolve finds the address that host:port stands for, with a literal IP; nil means Resolve.
	Resolve func(ctx context.Context, hostport string) (string, error)
}

// DefaultTTL is injector.MaxTTL: nothing that hurts outlives whoever forgot it by more.
const DefaultTTL = 30 * time.Minute

// Bounds, so that a client in a loop cannot fill the memory.
const (
	maxProxies = 1024
	maxToxics  = 256 // of one proxy
	maxBody    = 4 << 20
)

// A Server holds proxies and toxics, and serves the API. Run keeps its leases.
type Server struct {
	cfg     Config
	carried atomic.Pointer[map[string]*proxy] // by Route.Name; those that are disabled too

	mu struct {
		sync.Mutex // held by whoever changes proxies or what hangs on them
		proxies    map[string]*proxy
		born       uint64             // toxics so far
		wake       context.CancelFunc // of Run, where it sleeps
	}
}

// A proxy is what one configuration of a proxy makes of it: it never changes, but for its toxics. Another takes its
// place, and with it goes every connection.
type proxy struct {
	name, service    string // service: name as a Carrier takes it
	listen, upstream string // as the API shows it; listen with a literal IP
	target           string // upstream with a literal IP
	enabled          bool
	until            time.Time // when it is enabled again, if it is not; zero: never, for it was made so

	set atomic.Pointer[set] // nil: another has taken its place
	*counts
}

// counts go over from one to the next.
type counts struct {
	opened   atomic.Uint64 // connections so far
	received [ways]atomic.Uint64
}

// New returns a Server without proxies.
func New(cfg Config) *Server {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.TTL <= 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Version == "" {
		cfg.Version = "redlane"
	}
	if cfg.Resolve == nil {
		cfg.Resolve = Resolve
	}
	s := &Server{cfg: cfg}
	s.carried.Store(&map[string]*proxy{})
	s.mu.proxies = make(map[string]*proxy)
	return s
}

// serviceName makes any name fit to be that of a service. The mark in front keeps it apart from names that
// mean something of their own.
func serviceName(name string) string { return "~" + url.QueryEscape(name) }

// replace puts proxies in the place of those of the same name, or none in the place of those that are gone, and
// ends the connections of the ones before. On an error nothing has changed. s.mu is held.
func (s *Server) replace(changed []*proxy, gone ...string) error {
	all := maps.Clone(s.mu.proxies)
	for _, name := range gone {
		delete(all, name)
	}
	for _, p := range changed {
		all[p.name] = p
	}
	var routes []Route
	byService := make(map[string]*proxy, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		byService[p.service] = p
		if p.enabled {
			routes = append(routes, Route{p.service, p.listen, p.target})
		}
	}
	listens, err := s.cfg.Carrier.Carry(routes)
	if err != nil {
		return carryFailed(err)
	}
	for _, p := range changed {
		if p.enabled {
			p.listen = listens[p.service]
		}
	}
	s.carried.Store(&byService)
	for name, old := range s.mu.proxies {
		if all[name] != old {
			old.set.Store(nil)
		}
	}
	s.mu.proxies = all
	s.cfg.Carrier.Wake()
	s.tell()
	return nil
}

// shown is a proxy as the API shows it.
type shown struct {
	Name     string   `json:"name"`
	Listen   string   `json:"listen"`
	Upstream string   `json:"upstream"`
	Enabled  bool     `json:"enabled"`
	Toxics   []*toxic `json:"toxics"`
}

func (p *proxy) show(now time.Time) shown {
	return shown{p.name, p.listen, p.upstream, p.enabled, p.live(now)}
}

// live are the toxics whose lease lasts.
func (p *proxy) live(now time.Time) []*toxic {
	return slices.DeleteFunc(p.set.Load().all(), func(t *toxic) bool { return t.over(now) })
}

var _ traffic.Shaper = (*stream)(nil)
