package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
)

// Config of a run with many workers. Zero fields take the default named beside them.
type Config struct {
	Bus     *bus.Bus
	Run     string            // unique; letters, digits and -
	Spec    []byte            // what to replay; the workers' Engine understands it
	Workers int               // to wait for; 0 means 1
	Labels  map[string]string // that they must have
	Shards  int               // 0 means 16 for each worker
	Wait    time.Duration     // for enough workers; 0 means 1 minute

	LostLimit float64       // share of all exchanges that may be lost with workers; 0 means 1 %
	SkewLimit time.Duration // p99 over workers of how far their clocks are off; 0 means 10ms

	Clock    clock.Clock               // nil means clock.System
	Log      func(line string)         // nil means nobody wants to know
	Progress func(p replayer.Progress) // called once a second by one goroutine; nil likewise
}

func (c *Config) check() error {
	c.Workers = cmp.Or(c.Workers, 1)
	c.Shards = cmp.Or(c.Shards, 16*c.Workers)
	c.Wait = cmp.Or(c.Wait, time.Minute)
	c.LostLimit = cmp.Or(c.LostLimit, 0.01)
	c.SkewLimit = cmp.Or(c.SkewLimit, 10*time.Millisecond)
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Log == nil {
		c.Log = func(string) {}
	}
	switch {
	case c.Workers < 0 || c.Workers > 100_000:
		return fmt.Errorf("fleet: %d workers: want 1 to 100000", c.Workers)
	case c.Shards < c.Workers:
		return fmt.Errorf("fleet: %d shards for %d workers: want at least one for each", c.Shards, c.Workers)
	}
	return nil
}

// Control runs a replay with workers that come over the bus, and returns when it is over: all is sent and
// answered, ctx has ended, or it is found that it cannot be valid. The Report is nil only when nothing was
// sent.
func Control(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &controller{Config: cfg, members: make(map[string]*member), parts: make(map[int]*assigned), changed: make(chan struct{}, 1)}
	return c.run(ctx)
}

// resultsEvery is how often a worker sends results: so often that what dies with a worker is little, and so
// seldom that one core merges what all send.
func resultsEvery(workers int) time.Duration {
	return min(max(time.Duration(workers)*time.Millisecond, 200*time.Millisecond), 2*time.Second)
}

// A controller knows all workers of a run, and all parts.
type controller struct {
	Config
	leases  *bus.KV
	changed chan struct{} // a token when something happened
	wg      sync.WaitGroup
	ctx     context.Context // of everything it starts

	merging sync.Mutex // before mu
	sum     sum

	mu      sync.Mutex
	closed  bool // no more may join
	members map[string]*member
	order   []*member // as they came
	parts   map[int]*assigned
	t0      time.Time
	abort   string // why no more is sent; empty while that goes on
	invalid []string
	stopped bool // by ctx: a person
	held    bool // too many are silent for all of them to be dead
	taken   []*Takeover
}

func (c *controller) run(outer context.Context) (*Report, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	defer c.wg.Wait()
	defer cancel()
	c.ctx = ctx
	kvCtx, kvCancel := context.WithTimeout(ctx, 5*time.Second)
	defer kvCancel()
	var err error
	if c.leases, err = c.Bus.KV(kvCtx, leaseBucket(c.Run), leaseConfig); err != nil {
		return nil, err
	}
	defer c.clean()
	results, err := c.Bus.Again() // megabytes a second, which clocks and leases must not queue behind
	if err != nil {
		return nil, err
	}
	defer results.Close()
	for _, on := range []struct {
		bus  *bus.Bus
		what string
		do   func(*bus.Message)
	}{{c.Bus, "join", c.onJoin}, {c.Bus, "clock", c.onClock}, {results, "result", c.onResult}} {
		stop, err := on.bus.Subscribe(subject(c.Run, on.what), on.do)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	stop, err := c.leases.Watch(ctx, ">", c.onLease)
	if err != nil {
		return nil, err
	}
	defer stop()
	c.wg.Go(func() { c.beatAll(ctx) })

	if err := c.gather(outer); err != nil {
		c.over("INVALID: it did not begin: " + err.Error())
		return nil, err
	}
	if err := c.openAll(outer); err != nil {
		c.over("INVALID: it did not begin: " + err.Error())
		return nil, err
	}
	c.watch(outer)
	r := c.report()
	verdict := "valid"
	if invalid := r.Valid(); invalid != nil {
		verdict = "INVALID: " + invalid.Error()
	} else if r.Interrupted {
		verdict = "interrupted"
	}
	c.over(verdict)
	return r, nil
}

// clean takes the leases off the bus; a bus that is gone has nothing to clean.
func (c *controller) clean() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), time.Second)
	defer cancel()
	_ = c.Bus.DropKV(ctx, leaseBucket(c.Run)) // its values go by themselves after an hour
}

// beatAll says that the controller lives, and whether the run does.
func (c *controller) beatAll(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		c.mu.Lock()
		b := beat{Abort: c.abort != "", Reason: c.abort}
		c.mu.Unlock()
		_ = c.Bus.Publish(subject(c.Run, "all"), encode(&b)) // a lost bus is noticed by the leases
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stop ends sending everywhere: at once where the bus works, by leases that are not renewed where not.
func (c *controller) stop(reason string, invalid bool) {
	c.mu.Lock()
	if c.abort == "" {
		c.abort = reason
	}
	if invalid {
		c.invalid = append(c.invalid, reason)
	}
	b := beat{Abort: true, Reason: c.abort}
	c.mu.Unlock()
	c.Log(reason)
	_ = c.Bus.Publish(subject(c.Run, "all"), encode(&b)) // and again with every beat
	c.poke()
}

func (c *controller) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// over tells every worker how it ended.
func (c *controller) over(verdict string) {
	c.mu.Lock()
	c.closed = true
	all := c.order
	c.mu.Unlock()
	each(len(all), func(i int) {
		_, _ = c.tell(all[i].Worker, &order{Over: &over{Verdict: verdict}}, time.Second) // one that is gone need not know
	})
}

// tell gives one worker an order and returns its answer.
func (c *controller) tell(worker string, o *order, wait time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	var a answer
	data, err := c.Bus.Request(ctx, orderSubject(c.Run, worker), encode(o))
	if err == nil {
		err = decode(data, &a)
	}
	if err == nil && a.Refused != "" {
		err = errors.New(a.Refused)
	}
	return a, err
}

// each calls f for 0 to n-1, some at a time.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
