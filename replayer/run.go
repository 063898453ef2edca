package replayer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
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
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	to, err := lookUp(ctx, &r.cfg)
	if err != nil {
		return nil, err
	}
	if err := to.probe(ctx, r.cfg.Connect); err != nil {
		return nil, err
	}
	r.guard = newGuard(&r.cfg, to)
	if err := r.guard.confirm(ctx, cfg.Ticket); err != nil {
		return nil, err
	}
	r.ahead = newAhead(r.readAhead(), r.cfg.Workers, func(loop int) { r.driver.Post(loop, paceEvent) })
	r.ahead.eager = r.cfg.Closed
	r.driver, err = to.newDriver(&r.cfg, func(l engine.Loop) engine.Handler { return r.newClient(l, to) })
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	r.feed = r.newFeed(src)
	var books []*book
	for _, c := range r.clients {
		books = append(books, c.book)
	}
	r.keeper = newKeeper(r.routes, books)
	return r.run(ctx)
}

// newRun checks cfg, and fills in its defaults.
func newRun(cfg Config) (*run, error) {
	if err := cfg.check(); err != nil {
		return nil, &ConfigError{err}
	}
	routes, err := newRoutes(cfg.Routes, cfg.MaxRoutes)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("replay: %w", err)}
	}
	return &run{
		cfg: cfg, routes: routes, dropped: DropInterrupted,
		paced: make(chan struct{}, cfg.Workers), window: newWindow(int64(cfg.Window)), stock: &stock{limit: int64(cfg.Window)},
	}, nil
}

// A run is one call of Run.
//
//	src ─► feed ─► ahead ─► pacers ─► clients ─► books ─► Result
//	      └ goroutine ┘    └──── driver's loops ────┘
type run struct {
	cfg     Config
	routes  *routes
	guard   *guard
	dropped string // why what was not sent was not, when the run ends early
	window  *window
	ahead   *ahead
	stock   *stock
	feed    *feed
	driver  engine.Driver
	clients []*client
	keeper  *keeper
	paced   chan struct{} // a token of each client that has nothing more to release

	// outstanding counts items that were released and are not in the books yet.
	outstanding sync.WaitGroup
	over        <-chan struct{} // closed once outstanding is done
}

// prime is the longest time a run waits for the feed to read ahead before it starts.
const prime = time.Second

// readAhead is how many bytes of items the feed may be ahead of the pacers: a quarter of the window, so that a
// disk may be slow for a moment. A closed loop waits for a slow disk, and has its items in the cache.
func (r *run) readAhead() int64 {
	if r.cfg.Closed {
		return min(int64(r.cfg.Window)/4, 1<<20)
	}
	return int64(r.cfg.Window) / 4
}

func (r *run) newClient(l engine.Loop, to *target) engine.Handler {
	cfg, i := &r.cfg, len(r.clients)
	c := &client{
		loop: l, dialer: to.dialer(l), timeout: cfg.Timeout, connect: cfg.Connect, window: r.window, stock: r.stock,
		maxIdle: share(cfg.MaxIdle, i, cfg.Workers), pipeline: cfg.Pipeline,
		done:       func(n int) { r.outstanding.Add(-n) },
		closedLoop: cfg.Closed, pacer: pacer{ahead: r.ahead, loop: i},
		began: func(n int) { r.outstanding.Add(n) }, through: func() { r.paced <- struct{}{} },
		most: share(cfg.InFlight, i, cfg.Workers), late: cfg.Overload.Drop, drops: cfg.InFlight > 0 && cfg.Overload.Drop > 0,
		extras: extras{most: share(cfg.Overload.Spawn, i, cfg.Workers)},
		book:   newBook(cfg.Lane, r.routes), sessions: make(map[uint64]*session),
	}
	if cfg.Closed {
		c.gatherer, _ = l.(engine.Gatherer)
	}
	if c.book.stream = cfg.Stream; c.book.stream != nil {
		c.book.page = NewBatch()
	}
	if r.cfg.Rewrite != nil {
		c.rewrite = r.cfg.Rewrite.NewMemory(r.cfg.Workers)
	}
	c.live = c.book.live
	r.clients = append(r.clients, c)
	return c
}

// share is what loop i of n has of all there is.
func share(all, i, n int) int {
	if i < all%n {
		return all/n + 1
	}
	return all / n
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
	guarding := ended(func() {
		if err := r.guard.watch(ctx); err != nil {
			cancel(err)
		}
	})
	start, beginErr := r.begin(ctx)
	if beginErr != nil {
		cancel(beginErr) // and go on, to leave nothing behind
	}
	// From here on due times mean something. The first connections are opened before the first is.
	since := clock.Stopwatch(r.cfg.Clock, start)
	for _, c := range r.clients {
		c.since, c.book.start = since, start
	}
	if !r.cfg.Closed {
		r.feed.start.Store(&start)
	}
	if r.cfg.Part != nil {
		r.cfg.Part.attach(r)
	}

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

	r.pace(ctx)
	interrupted := r.finish(ctx)
	lost := lostLane(ctx)
	stopReport()
	<-reporting
	stopDriver()
	driveErr := <-driving
	cancel(nil) // the feed may wait for room that nobody needs any more
	feedErr := <-feeding
	<-guarding
	res, err := r.result(start, interrupted, beginErr, feedErr, driveErr)
	if res.Target = r.guard.target(); lost != nil {
		res.Stopped = lost.Error()
	}
	return res, err
}

// pace has the loops release what is due, until nothing more will be or ctx is done.
func (r *run) pace(ctx context.Context) {
	for loop := range r.clients {
		r.driver.Post(loop, paceEvent)
	}
	for range r.clients {
		select {
		case <-r.paced:
		case <-ctx.Done():
			r.driver.Each(func(_ engine.Loop, h engine.Handler) { h.(*client).halt() })
			return
		}
	}
}
