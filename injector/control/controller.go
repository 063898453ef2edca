package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/internal/clock"
)

// A Proxy is where faults are armed, by its admin address.
type Proxy struct {
	Name string       // empty means Base
	Base string       // such as http://127.0.0.1:9901
	HTTP *http.Client // nil means one that keeps its connections
}

// Config of a Controller. Zero fields take the default named beside them.
type Config struct {
	Proxies []Proxy       // at least one, of different names
	Token   string        // drill token for requests that bring none of their own; empty: those are refused
	Limits  guard.Limits  // of an SLO that is asked for without any
	Timeout time.Duration // of one call to one proxy; 0 means 800ms, so that renewals keep their second
	Clock   clock.Clock   // nil means clock.System
	Log     func(string)  // a line for everything that begins or ends; nil: silent
}

// Every is how often a lease is renewed.
const Every = time.Second

// A Controller is ready when it was made, and holds what it armed while Run runs.
type Controller struct {
	cfg     Config
	proxies []*proxy
	life    context.Context // until Run has ended
	end     context.CancelFunc
	wait    sync.WaitGroup // watchers of guards

	mu struct {
		sync.Mutex
		faults map[string]*fault
		arming map[string]bool // ids that are taken, though they are not in faults yet
		guards map[string]*watch
		order  uint64
	}
}

// New makes a Controller. Nothing is sent.
func New(cfg Config) (*Controller, error) {
	if len(cfg.Proxies) == 0 {
		return nil, errors.New("control: no proxy given")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 800*time.Millisecond)
	c := &Controller{cfg: cfg}
	shared := &http.Client{Transport: transport()}
	for _, p := range cfg.Proxies {
		client := p.HTTP
		if client == nil {
			client = shared
		}
		one := &proxy{name: cmp.Or(p.Name, p.Base)}
		one.api = api.Server{Base: p.Base, HTTP: client}
		one.faults = injector.Client{Base: p.Base, HTTP: client}
		one.guards = guard.Client{Base: p.Base, HTTP: client}
		if slices.ContainsFunc(c.proxies, func(o *proxy) bool { return o.name == one.name }) {
			return nil, fmt.Errorf("control: two proxies called %s", one.name)
		}
		c.proxies = append(c.proxies, one)
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.mu.faults = make(map[string]*fault)
	c.mu.arming = make(map[string]bool)
	c.mu.guards = make(map[string]*watch)
	return c, nil
}

// transport keeps a few connections to every proxy: a renewal and a halt never wait for one another.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
}

// Run renews what is armed, until ctx ends. Then it disarms all it can reach within a second, and returns.
func (c *Controller) Run(ctx context.Context) error {
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		c.endAll(last, injector.Removed, "the controller ends")
		c.Close()
	}()
	next := c.cfg.Clock.Now()
	for {
		if next = next.Add(Every); next.Before(c.cfg.Clock.Now()) {
			next = c.cfg.Clock.Now() // it was held up: what was missed is not made up for
		}
		if err := c.cfg.Clock.SleepUntil(ctx, next); err != nil {
			return err
		}
		c.renew(ctx)
	}
}

// Close ends what a Controller has begun that is not Run. What is armed ends by itself.
func (c *Controller) Close() {
	c.end()
	c.wait.Wait()
	for _, p := range c.proxies {
		if t, ok := p.faults.HTTP.Transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// pick finds proxies by name; no name is all.
func (c *Controller) pick(names []string) ([]*proxy, error) {
	if len(names) == 0 {
		return c.proxies, nil
	}
	var some []*proxy
	for _, name := range names {
		i := slices.IndexFunc(c.proxies, func(p *proxy) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("proxies: no proxy %q; there are %s", name, c.names())
		}
		if slices.Contains(some, c.proxies[i]) {
			return nil, fmt.Errorf("proxies: %q twice", name)
		}
		some = append(some, c.proxies[i])
	}
	return some, nil
}

func (c *Controller) names() string {
	names := make([]string, len(c.proxies))
	for i, p := range c.proxies {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// each asks all proxies at once, and returns when the last has answered or its time is over.
func each[T any](ctx context.Context, c *Controller, proxies []*proxy, ask func(context.Context, *proxy) (T, error)) ([]T, []error) {
	return eachWithin(ctx, c.cfg.Timeout, proxies, ask)
}

func eachWithin[T any](ctx context.Context, limit time.Duration, proxies []*proxy, ask func(context.Context, *proxy) (T, error)) ([]T, []error) {
	answers, errs := make([]T, len(proxies)), make([]error, len(proxies))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var all sync.WaitGroup
	for i, p := range proxies {
		all.Go(func() { answers[i], errs[i] = ask(ctx, p) })
	}
	all.Wait()
	return answers, errs
}

// firstOf is the first error, with the name of its proxy.
func firstOf(proxies []*proxy, errs []error) error {
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", proxies[i].name, err)
		}
	}
	return nil
}
