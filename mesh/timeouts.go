package mesh

import (
	"cmp"
	"time"
)

// Timeouts bound every phase of an exchange. Where a peer is silent longer, the exchange ends with the
// flag named. 0 is the default.
type Timeouts struct {
	// Connect is how long opening a connection to an endpoint may take, TLS handshake included (UF).
	// Default 1s: a SYN lost once is sent again after 1s, so a shorter limit would mistake one lost
	// packet for a dead instance and a longer one only waits for the next.
	Connect time.Duration `yaml:"connect,omitempty"`

	// Header is how long a client may take from the first byte of a request head to its last (408,
	// DT). Default 10s: a head needs a round trip or two, and what drips longer holds a connection. A TLS
	// handshake before it may take as long again.
	Header time.Duration `yaml:"header,omitempty"`

	// Request is the longest silence of a client within a request body, or while it takes no byte of
	// a response (408 or a cut, DT). Default 30s.
	Request time.Duration `yaml:"request,omitempty"`

	// Response is the longest silence of the service before the first byte of a response (504, UT)
	// and between two bytes of it (a cut, UT). Default 15s, Envoy's route timeout.
	Response time.Duration `yaml:"response,omitempty"`

	// Idle is how long a client's connection is kept between two requests, and how long a tunnel may
	// carry nothing. Default 60s, nginx's proxy_read_timeout, which tunnels elsewhere already live with.
	Idle time.Duration `yaml:"idle,omitempty"`

	// Pool is how long an unused connection to an endpoint is kept. Default 4s: Node closes after 5s,
	// and whoever closes first should be us, or requests meet dead connections.
	Pool time.Duration `yaml:"pool,omitempty"`

	// Drain is how long exchanges may take to finish when the proxy shuts down or another process has
	// taken over, and how long after a takeover clients may keep a connection without a request; what is
	// left then is cut (SD). Default 10s: Kubernetes kills after 30s. Only the mesh's own value counts.
	Drain time.Duration `yaml:"drain,omitempty"`
}

var defaults = Timeouts{
	Connect:  time.Second,
	Header:   10 * time.Second,
	Request:  30 * time.Second,
	Response: 15 * time.Second,
	Idle:     60 * time.Second,
	Pool:     4 * time.Second,
	Drain:    10 * time.Second,
}

// or is t with the zero fields taken from rest.
func (t Timeouts) or(rest Timeouts) Timeouts {
	return Timeouts{
		Connect:  cmp.Or(t.Connect, rest.Connect),
		Header:   cmp.Or(t.Header, rest.Header),
		Request:  cmp.Or(t.Request, rest.Request),
		Response: cmp.Or(t.Response, rest.Response),
		Idle:     cmp.Or(t.Idle, rest.Idle),
		Pool:     cmp.Or(t.Pool, rest.Pool),
		Drain:    cmp.Or(t.Drain, rest.Drain),
	}
}

// TimeoutsOf are the timeouts of one service, every field set.
func (c *Config) TimeoutsOf(service string) Timeouts {
	whole := c.Timeouts.or(defaults)
	if s := c.Services[service]; s != nil {
		return s.Timeouts.or(whole)
	}
	return whole
}

// named lists the fields for the check, in the words of the file.
func (t *Timeouts) named() []namedTimeout {
	return []namedTimeout{
		{"connect", t.Connect}, {"header", t.Header}, {"request", t.Request}, {"response", t.Response},
		{"idle", t.Idle}, {"pool", t.Pool}, {"drain", t.Drain},
	}
}

type namedTimeout struct {
	key   string
	value time.Duration
}
