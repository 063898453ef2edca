package replayer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

// Run replays src and returns when everything that was due has been answered, has failed, or has been
// waited for long enough. When ctx ends it stops sending, waits for what is on its way (Config.Grace) and
// returns a whole Result; that is no error. src is read on another goroutine, until Run returns, and is
// not closed.
//
// The Result is nil only when nothing was sent: a Config that is not right, or a target that cannot be
// reached. With any other error, from src or the driver, it tells how far the run came.
func Run(ctx context.Context, cfg Config, src traffic.Source) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	addr, err := target(ctx, cfg.To)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, cfg.To, addr, &cfg); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, window: newWindow(int64(cfg.Window))}
	r.ahead = newAhead(int64(cfg.Window) / 4)
	r.driver, err = cfg.Driver(cfg.Workers, func(l engine.Loop) engine.Handler { return r.newClient(l, addr) })
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	r.feed = &feed{
		src: src, planner: newPlanner(&cfg), schedule: Schedule{Rate: cfg.Rate}, reorder: cfg.Reorder,
		window: r.window, ahead: r.ahead, clock: cfg.Clock, primed: make(chan struct{}),
	}
	return r.run(ctx)
}

// A run is one call of Run.
//
//	src ─► feed ─► ahead ─► pacer ─► inboxes ─► clients ─► books ─► Result
//	      └ goroutine ┘    └ thread ┘          └ driver's loops ┘
type run struct {
	cfg     Config
	window  *window
	ahead   *ahead
	feed    *feed
	pacer   *pacer
	driver  engine.Driver
	clients []*client

	// outstanding counts items that were released and are not in the books yet.
	outstanding sync.WaitGroup
	over        <-chan struct{} // closed once outstanding is done
}

// prime is the longest time a run waits for the feed to read ahead before it starts.
const prime = time.Second

func (r *run) newClient(l engine.Loop, addr string) engine.Handler {
	c := &client{
		loop: l, clock: r.cfg.Clock, addr: addr, timeout: r.cfg.Timeout, connect: r.cfg.Connect, window: r.window,
		maxIdle: (r.cfg.MaxIdle + r.cfg.Workers - 1) / r.cfg.Workers,
		done:    r.outstanding.Done,
		book:    newBook(r.cfg.Lane), sessions: make(map[uint64]*session), conns: make(map[engine.Handle]*session),
	}
	r.clients = append(r.clients, c)
	return c
}

func (r *run) run(outer context.Context) (*Result, error) {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)

	feeding := spawn(func() error {
		err := r.feed.run(ctx)
		if err != nil {
			cancel(err)
		}
		return err
	})
	r.waitPrimed(ctx)

	// From here on due times mean something. The first connections are opened before the first is.
	start := r.cfg.Clock.Now().Add(lead)
	for _, c := range r.clients {
		c.start = start
	}
	r.feed.start.Store(&start)
	r.pacer = &pacer{clock: r.cfg.Clock, start: start, ahead: r.ahead, loops: len(r.clients), post: r.post}

	driverCtx, stopDriver := context.WithCancel(context.WithoutCancel(outer))
	driving := spawn(func() error {
		err := r.driver.Run(driverCtx)
		if driverCtx.Err() == nil {
			cancel(fmt.Errorf("engine ended: %w", err))
		}
		return err
	})
	reportCtx, stopReport := context.WithCancel(ctx)
	reporting := ended(func() { r.report(reportCtx, start) })

	last := r.pacer.run(ctx)
	interrupted := r.finish(ctx)
	stopReport()
	<-reporting
	stopDriver()
	driveErr := <-driving
	cancel(nil) // the feed may wait for room that nobody needs any more
	feedErr := <-feeding
	return r.result(start, last, interrupted, feedErr, driveErr)
}
