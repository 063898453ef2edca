package goroutine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// Config of a Driver.
type Config = loopkit.Config

// Stats is what a Driver has done since it was made.
type Stats = loopkit.Stats

// A Driver is an engine.Driver. New makes it.
type Driver struct {
	cfg   Config
	loops []*loop
	next  atomic.Uint32 // spreads accepted connections over the loops
	ctx   context.Context
	done  chan struct{} // closed when Run has returned

	running sync.WaitGroup // every goroutine and every armed timer
	stats   loopkit.Counters

	mu struct {
		sync.Mutex
		state     state
		listeners map[*listener]struct{}
	}
}

type state uint8

const (
	idle state = iota
	serving
	stopped
)

var _ engine.Driver = (*Driver)(nil)

// New makes a Driver and calls newHandler once for each of its loops. It opens nothing yet.
func New(cfg Config, newHandler engine.NewHandler) (*Driver, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	d := &Driver{cfg: cfg, done: make(chan struct{})}
	d.mu.listeners = make(map[*listener]struct{})
	for range cfg.Loops {
		l := newLoop(d)
		l.handler = newHandler(l)
		l.alarmed, _ = l.handler.(engine.Alarmed)
		d.loops = append(d.loops, l)
	}
	return d, nil
}

// Loops is the number of loops.
func (d *Driver) Loops() int { return len(d.loops) }

// Run serves until ctx is done, closes every connection, and returns nil once no goroutine, timer or
// descriptor of the driver is left. It can be called once.
func (d *Driver) Run(ctx context.Context) error {
	d.mu.Lock()
	if d.mu.state != idle {
		d.mu.Unlock()
		return errors.New("run engine: a driver runs once")
	}
	d.mu.state, d.ctx = serving, ctx
	for ln := range d.mu.listeners {
		ln.start()
	}
	d.mu.Unlock()
	for _, l := range d.loops {
		d.running.Go(l.post.run)
	}

	<-ctx.Done()

	d.mu.Lock()
	d.mu.state = stopped
	for ln := range d.mu.listeners {
		_ = ln.shut() // the socket is gone whatever close says
	}
	clear(d.mu.listeners)
	d.mu.Unlock()
	for _, l := range d.loops {
		l.stop(context.Cause(ctx))
	}
	d.running.Wait()
	close(d.done)
	return nil
}

// Stats may be called at any time.
func (d *Driver) Stats() Stats {
	s := d.stats.Stats()
	for _, l := range d.loops {
		s.In += l.in.Load()
		s.Out += l.out.Load()
	}
	return s
}

// Each runs f on every loop and waits for them. Before Run it waits for Run; within an event it would wait
// for itself, for ever.
func (d *Driver) Each(f func(engine.Loop, engine.Handler)) { loopkit.Each(d, d.done, f) }

// Post queues f as an event of one loop. What is posted before Run is run first.
func (d *Driver) Post(loop int, f func(engine.Loop, engine.Handler)) { d.loops[loop].post.put(f) }
