package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/traffic"
)

// A Proxy carries a mesh.Config out. Its life:
//
//  1. New checks the configuration and opens the listeners. Clients can connect; nobody answers yet.
//  2. Run serves.
//  3. Reload and Attach change what it serves, at any time.
//  4. When Run's context ends, or after HandOver, it drains and returns. A Proxy that is never Run is Closed
//     instead.
type Proxy struct {
	cfg    Config
	driver *secure.Driver
	engine choose.Choice
	loops  []*loop
	gen    atomic.Pointer[generation]
	log    *accessLog   // nil: none
	admin  net.Listener // nil: none

	terminate atomic.Pointer[map[int]*secure.Server] // by the tag of the listener

	ready          atomic.Bool // serving, and not draining
	stopping       atomic.Bool // drained as far as it goes: what ends now is cut
	reloadFailures atomic.Uint64
	certFailures   atomic.Uint64
	drained        atomic.Int32  // loops that have no client any more
	serving        chan struct{} // closed when every loop runs
	hand           *hand
	tickets        tickets

	life    context.Context // until Close, or the end of Run
	end     context.CancelFunc
	closing sync.WaitGroup // listeners on their way out

	mu struct {
		sync.Mutex
		listeners   map[string]*listening // by place.key
		leaving     map[int]*leaving      // by tag
		cut         []*listening          // of Config.Abrupt, to be closed without mu
		draining    bool                  // nothing is opened any more
		lent        bool                  // another process may be about to serve on the listeners
		tags        int
		edgeNumbers map[place]int
		slots       []*Slot
		number      uint64        // of the current generation
		old         []*generation // replaced, and perhaps still with exchanges
	}
}

// New makes a Proxy and opens its listeners, so that every mistake in the configuration shows here.
func New(cfg Config) (_ *Proxy, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, serving: make(chan struct{}), hand: newHand(cfg.Sockets)}
	p.life, p.end = context.WithCancel(context.Background())
	p.mu.listeners = make(map[string]*listening)
	p.mu.leaving = make(map[int]*leaving)
	p.mu.edgeNumbers = make(map[place]int)
	for _, s := range cfg.Slots {
		p.mu.slots = append(p.mu.slots, &s)
	}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if p.log, err = openAccessLog(cfg.Mesh.AccessLog.Path); err != nil {
		return nil, err
	}
	if p.driver, err = p.newDriver(); err != nil {
		return nil, err
	}
	for i, ids := range newIDs(len(p.loops)) {
		p.loops[i].ids = ids
	}
	if err := p.swap(cfg.Mesh); err != nil {
		return nil, err
	}
	if cfg.Mesh.Admin != "" {
		if p.admin, err = listenAdmin(cfg.Mesh.Admin, p.adopt(adminName(cfg.Mesh.Admin))); err != nil {
			return nil, err
		}
	}
	p.hand.sockets = nil // the caller's again
	return p, nil
}

func (p *Proxy) newLoop(el engine.Loop) engine.Handler {
	l := &loop{
		Loop: el, secure: secure.Of(el), proxy: p, number: len(p.loops),
		targets: make(map[targetKey]*target), byEp: make(map[*traffic.Endpoint]*target), cursor: make(map[*traffic.Endpoint]uint32),
		log: logBuffer{log: p.log},
	}
	if p.cfg.Mixed == nil { // splice does not see the bytes of an accelerator
		l.joiner, _ = el.(engine.Joiner)
	}
	p.loops = append(p.loops, l)
	return l
}

// Close closes what New opened, for a Proxy that is not Run.
func (p *Proxy) Close() error {
	var all error
	p.end()
	p.closing.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.mu.listeners {
		p.unbind([]string{k})
	}
	if p.admin != nil {
		all = errors.Join(all, p.admin.Close())
	}
	if p.log != nil {
		all = errors.Join(all, p.log.file.Close())
	}
	return all
}

// Run serves until ctx is done, drains, and returns when nothing it started is left. Its error is nil
// unless something broke that no configuration explains.
func (p *Proxy) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.hand.over, cancel)()
	p.tellServing()
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running errgroup.Group
	running.Go(func() error {
		defer cancel() // without an engine there is nothing to serve or to drain
		return p.driver.Run(serve)
	})
	var logging errgroup.Group
	if p.log != nil {
		logging.Go(p.log.write)
		running.Go(func() error { p.log.tick(serve, p.cfg.Clock, p); return nil })
	}
	if p.admin != nil {
		running.Go(func() error { return p.serveAdmin(serve) })
	}
	running.Go(func() error { p.watch(ctx); return nil })
	p.ready.Store(true)

	<-ctx.Done()
	p.ready.Store(false)
	p.drain(serve)
	p.stopping.Store(true)
	p.end()
	stop()
	err := running.Wait()
	p.closing.Wait()
	if p.log != nil { // no loop runs any more
		for _, l := range p.loops {
			l.log.flush()
		}
		close(p.log.full)
		err = errors.Join(err, p.log.finish(p.cfg.Clock, p.gen.Load().mesh.TimeoutsOf("").Drain, logging.Wait))
	}
	return err
}

// Ready reports whether new connections are served: after Run has begun and before it drains.
func (p *Proxy) Ready() bool { return p.ready.Load() }

// Serving is closed once every loop of Run takes connections.
func (p *Proxy) Serving() <-chan struct{} { return p.serving }

func (p *Proxy) tellServing() {
	var running atomic.Int32
	p.post(func(*loop) {
		if int(running.Add(1)) == len(p.loops) {
			close(p.serving)
		}
	})
}

// Active is the number of exchanges under way.
func (p *Proxy) Active() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range append(p.mu.old[:len(p.mu.old):len(p.mu.old)], p.gen.Load()) {
		for i := range g.live {
			n += g.live[i].n.Load()
		}
	}
	return n
}

// post has f run as an event of every loop.
func (p *Proxy) post(f func(l *loop)) {
	for i := range p.loops {
		p.driver.Post(i, func(_ engine.Loop, h engine.Handler) { f(h.(*loop)) })
	}
}
