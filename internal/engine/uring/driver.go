package uring

import (
	"context"
	"errors"
	"sync"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// A Driver is an engine.Driver. New makes it.
type Driver struct {
	cfg   Config
	loops []*loop
	done  chan struct{} // closed when Run has returned
	broke chan error    // a loop whose ring broke says so here

	stats loopkit.Counters

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

// New makes a Driver and calls newHandler once for each of its loops. It opens nothing yet: whether the
// kernel has what is needed Probe tells, and Run when it finds out.
func New(cfg Config, newHandler engine.NewHandler) (*Driver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	d := &Driver{cfg: cfg, done: make(chan struct{}), broke: make(chan error, cfg.Loops)}
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

// Run serves until ctx is done, closes every connection, and returns nil once no goroutine, operation or
// descriptor of the driver is left; or why the rings could not be made, or broke. It can be called once.
func (d *Driver) Run(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.state != idle {
		return errors.New("run engine: a driver runs once")
	}
	var running sync.WaitGroup
	started := make(chan error, len(d.loops))
	for _, l := range d.loops {
		running.Go(func() { l.run(started) })
	}
	var err error
	for range d.loops {
		err = errors.Join(err, <-started)
	}
	cause := err
	if err == nil {
		d.mu.state = serving
		for ln := range d.mu.listeners {
			ln.start()
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			cause = context.Cause(ctx)
		case err = <-d.broke:
			cause = err
		}
		d.mu.Lock()
	}
	d.mu.state = stopped
	for ln := range d.mu.listeners {
		_ = ln.shut(false) // the sockets are gone whatever it says
	}
	clear(d.mu.listeners)
	for _, l := range d.loops {
		l.inbox.Put(task{stop: cause})
	}
	d.mu.Unlock()
	running.Wait() // without the lock: a Handler may close a listener meanwhile
	d.mu.Lock()
	close(d.done)
	return err
}

// Each runs f on every loop and waits for them. Before Run it waits for Run; within an event it would wait
// for itself, for ever.
func (d *Driver) Each(f func(engine.Loop, engine.Handler)) { loopkit.Each(d, d.done, f) }

// Post queues f as an event of one loop. What is posted before Run is run first.
func (d *Driver) Post(loop int, f func(engine.Loop, engine.Handler)) {
	d.loops[loop].inbox.Put(task{post: f})
}

// Stats is what a Driver has done since it was made.
type Stats = loopkit.Stats

// Stats may be called at any time.
func (d *Driver) Stats() Stats {
	s := d.stats.Stats()
	for _, l := range d.loops {
		s.In += l.in.Load()
		s.Out += l.out.Load()
	}
	return s
}

// Starved is how often bytes had to wait because all receive buffers of their loop were in use.
func (d *Driver) Starved() (n uint64) {
	for _, l := range d.loops {
		n += l.starved.Load()
	}
	return n
}
