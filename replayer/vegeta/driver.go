package vegeta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/replayer"
)

// Config of a Driver. Zero fields take the default named beside them.
type Config struct {
	Workers int         // requests on their way at once; 0 means DefaultWorkers
	Clock   clock.Clock // nil means clock.System
}

// DefaultWorkers is how many requests may be on their way at once: without a limit vegeta opens a connection for
// each request that finds none free, which at 20,000/s on one core ended in collapse three times out of three.
const DefaultWorkers = 256

// New is what a replayer.Config takes as its Driver. Give that Config InFlight of as many: what finds all
// workers busy then waits in its session, where the lag shows it, and not in a queue here.
func New(cfg Config) replayer.NewDriver {
	return func(loops int, newHandler engine.NewHandler) (engine.Driver, error) {
		if cfg.Workers < 0 {
			return nil, fmt.Errorf("vegeta: %d workers", cfg.Workers)
		}
		if cfg.Workers == 0 {
			cfg.Workers = DefaultWorkers
		}
		if cfg.Clock == nil {
			cfg.Clock = clock.System
		}
		d := &driver{cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{}), attack: newAttack(cfg.Workers)}
		for range loops {
			l := &loop{driver: d}
			l.handler = newHandler(l)
			l.alarmed, _ = l.handler.(engine.Alarmed)
			d.loops = append(d.loops, l)
		}
		return d, nil
	}
}

// A driver is the engine.Driver. All events of all its loops run on the goroutine of Run.
type driver struct {
	cfg    Config
	loops  []*loop
	attack *attack
	wake   chan struct{} // a token when there are events
	done   chan struct{} // closed when Run has returned
	timers sync.WaitGroup
	ctx    context.Context // of Run
	alarms sync.WaitGroup  // their threads

	mu struct {
		sync.Mutex
		events []func()
		ended  bool
	}
}

var _ engine.Driver = (*driver)(nil)

func (d *driver) Loops() int { return len(d.loops) }

// Listen is not for a sender.
func (d *driver) Listen(engine.Bind) (engine.Listener, error) {
	return nil, errors.New("vegeta: it sends, and listens nowhere")
}

// Post queues f as an event of a loop.
func (d *driver) Post(i int, f func(engine.Loop, engine.Handler)) {
	l := d.loops[i]
	d.event(func() { f(l, l.handler) })
}

// Each posts f to every loop and waits until all have run it, or until Run has returned.
func (d *driver) Each(f func(engine.Loop, engine.Handler)) {
	ran := make(chan struct{}, len(d.loops))
	for i := range d.loops {
		d.Post(i, func(l engine.Loop, h engine.Handler) {
			f(l, h)
			ran <- struct{}{}
		})
	}
	for range d.loops {
		select {
		case <-ran:
		case <-d.done:
			return
		}
	}
}

func (d *driver) event(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.ended {
		return
	}
	d.mu.events = append(d.mu.events, f)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run serves until ctx is done, then closes every connection, and returns when nothing of the attack is left.
func (d *driver) Run(ctx context.Context) error {
	defer close(d.done)
	d.ctx = ctx
	attacking := make(chan struct{})
	go func() {
		defer close(attacking)
		d.attack.run(func(c *call) { d.event(func() { c.loop.finish(c) }) })
	}()
	var batch []func()
	for ctx.Err() == nil {
		select {
		case <-d.wake:
		case <-ctx.Done():
		}
		d.mu.Lock()
		batch, d.mu.events = d.mu.events, batch[:0]
		d.mu.Unlock()
		for i, f := range batch {
			f()
			batch[i] = nil
		}
	}
	d.mu.Lock()
	d.mu.ended, d.mu.events = true, nil
	d.mu.Unlock()
	for _, l := range d.loops {
		l.end(context.Cause(ctx))
	}
	d.attack.end()
	<-attacking
	d.timers.Wait()
	d.alarms.Wait()
	return nil
}

// after posts f in a while, unless stop is called before.
func (d *driver) after(wait time.Duration, f func()) (stop func()) {
	d.timers.Add(1)
	t := time.AfterFunc(wait, func() {
		defer d.timers.Done()
		d.event(f)
	})
	return func() {
		if t.Stop() {
			d.timers.Done()
		}
	}
}
