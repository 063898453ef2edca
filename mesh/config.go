package mesh

import (
	"cmp"
	"fmt"
	"os"

	"github.com/cespare/xxhash/v2"
	"go.yaml.in/yaml/v3"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// A Config is one mesh.yaml. The zero value of a field takes the default named beside it.
//
// Addresses are host:port with a literal IP, or unix:PATH. Names are not looked up: a name that changes
// its meaning between two dials would move traffic without a word in any configuration.
type Config struct {
	conf.Pos `yaml:"-"`

	// Sum is of the bytes that Parse read, so that a watcher of the file knows what is in force. 0: none.
	Sum uint64 `yaml:"-"`

	// Admin is where metrics, health, the effective configuration and fault leases are served over
	// HTTP. Empty: nowhere. Keep it on a private address; whoever reaches it can end faults.
	Admin string `yaml:"admin,omitempty"`

	// AccessLog is where one line per exchange goes.
	AccessLog AccessLog `yaml:"access_log,omitempty"`

	// Lanes says how a request's colour is carried and what holds where a lane has no rule of its own.
	Lanes LaneRules `yaml:"lanes,omitempty"`

	// Timeouts hold for every service that does not set its own.
	Timeouts Timeouts `yaml:"timeouts,omitempty"`

	// Tickets confirm to those who send load that they reach a lane. Nil: never confirmed.
	Tickets *Tickets `yaml:"tickets,omitempty"`

	// Drills let faults be started over the admin address. Nil: none can be.
	Drills *Drills `yaml:"drills,omitempty"`

	// Intercept takes connections that the kernel redirects here. Nil: none.
	Intercept *Intercept `yaml:"intercept,omitempty"`

	// Services by name. At least one, unless Bare.
	Services map[string]*Service `yaml:"services"`

	// Bare is for a program that adds services while it runs.
	Bare bool `yaml:"-"`
}

// AccessLog is where the access log goes.
type AccessLog struct {
	// Path of a file that lines are appended to; "-" is standard output. Empty: no access log.
	Path string `yaml:"path,omitempty"`
}

// LaneRules hold for all services.
type LaneRules struct {
	// Header is one more request header that carries the colour, besides x-lane and the lane member of
	// W3C baggage. Empty: none.
	Header string `yaml:"header,omitempty"`

	// Fallback is when coloured traffic may use the baseline: never, absent or absent_or_unhealthy.
	// Empty: never, so that nothing leaves its lane that nobody let out.
	Fallback lanes.Rule `yaml:"fallback,omitempty"`
}

// A Service is a set of instances under one name, and the addresses where the proxy takes requests for it.
type Service struct {
	conf.Pos `yaml:"-"`

	// Protocol is what clients speak: http, or tcp for bytes that the proxy passes on without looking into
	// them. A tcp connection has the lane of its caller, for want of headers. Empty: http.
	Protocol Protocol `yaml:"protocol,omitempty"`

	// Addresses are where clients connect that do not know the proxy, such as a cluster IP. Connections to
	// them are intercepted. They need not be addresses of this machine.
	Addresses []string `yaml:"addresses,omitempty"`

	// Listen takes requests whose caller is unknown: the edge of the mesh. It may be empty when there
	// are Callers or Addresses. Port 0 picks a free one.
	Listen string `yaml:"listen,omitempty"`

	// Callers gives each calling service a listening address of its own, which is how the proxy knows
	// who calls. The key is a service of this file, or service@colour for its instances in that lane.
	Callers map[string]string `yaml:"callers,omitempty"`

	// Endpoints are the instances of the baseline, tried in turn.
	Endpoints []string `yaml:"endpoints,omitempty"`

	// Lanes are the instances of each lane by colour: a list of addresses, or a mapping with endpoints
	// and fallback.
	Lanes map[traffic.Color]Lane `yaml:"lanes,omitempty"`

	// Fallback is the rule of lanes that have none of their own. Empty: the one under lanes above.
	Fallback *lanes.Rule `yaml:"fallback,omitempty"`

	// Timeouts of this service; what is not set is taken from the timeouts of the whole mesh.
	Timeouts Timeouts `yaml:"timeouts,omitempty"`

	// TLS is what clients speak on all listeners of this service. Nil: plain HTTP.
	TLS *ServerTLS `yaml:"tls,omitempty"`

	// UpstreamTLS is what is spoken to its endpoints, in all lanes. Nil: plain HTTP.
	UpstreamTLS *ClientTLS `yaml:"upstream_tls,omitempty"`
}

// A Lane is what one service has in one lane.
type Lane struct {
	conf.Pos `yaml:"-"`

	// Endpoints are the instances in the lane. None is allowed where the lane only needs a rule.
	Endpoints []string `yaml:"endpoints,omitempty"`

	// Fallback is when the lane's traffic may use the baseline of this service instead. Empty: the
	// service's rule.
	Fallback *lanes.Rule `yaml:"fallback,omitempty"`
}

// UnmarshalConf reads a lane from its short form, a list of addresses, or from its long form.
func (l *Lane) UnmarshalConf(v conf.Value) error {
	if v.IsList() {
		l.Pos = v.Pos()
		return v.Decode(&l.Endpoints)
	}
	type long Lane // without this method
	return v.Decode((*long)(l))
}

// Load reads, parses and checks the file called name.
func Load(name string) (*Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read mesh configuration: %w", err)
	}
	return Parse(name, data)
}

// Parse reads and checks data, the content of the file called name. Its error is one line with a place.
func Parse(name string, data []byte) (*Config, error) {
	c := &Config{Pos: conf.Pos{File: name, Line: 1}} // a file that is only "null" sets nothing
	if err := conf.Decode(name, data, c); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Sum = xxhash.Sum64(data)
	return c, nil
}

// Effective is c as YAML with every default filled in: what the proxy goes by.
func (c *Config) Effective() ([]byte, error) {
	full := *c
	full.Timeouts = c.Timeouts.or(defaults)
	full.Tickets, full.Drills = c.Tickets.filled(), c.Drills.filled()
	full.Services = make(map[string]*Service, len(c.Services))
	for name, s := range c.Services {
		filled := *s
		filled.Timeouts = c.TimeoutsOf(name)
		filled.Protocol = cmp.Or(s.Protocol, HTTP)
		filled.TLS, filled.UpstreamTLS = s.TLS.filled(), s.UpstreamTLS.filled()
		full.Services[name] = &filled
	}
	return yaml.Marshal(&full)
}
