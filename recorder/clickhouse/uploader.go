package clickhouse

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/chconn"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

// An Uploader stores a tape in ClickHouse, each exchange exactly once, whatever dies in between.
type Uploader struct {
	cfg     Config
	to      Address
	rec     uint32
	expires proto.DateTime
	knobs   knobs
	began   atomic.Uint64   // how many of the tape's exchanges were stored when Run began
	routes  *template.Table // of the goroutine that builds frames

	mu struct {
		sync.Mutex
		ledger  traffic.Ledger
		retries uint64
		lastErr error
	}
}

// knobs are what a test turns to make the work harder, or to see it fail.
type knobs struct {
	rows   int                // at which a frame is full
	window string             // how many inserts the store remembers
	check  bool               // that it does
	stored func(*frame) error // called when a frame is stored and not yet acknowledged: the answer may be lost here
}

// New checks cfg. It opens nothing.
func New(cfg Config) (*Uploader, error) {
	to, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("store in ClickHouse: %w", err)
	}
	routes, err := template.New(template.Config{Patterns: cfg.Routes})
	if err != nil {
		return nil, fmt.Errorf("store in ClickHouse: %w", err)
	}
	u := &Uploader{cfg: cfg, to: to, rec: recOf(to.Recording), routes: routes}
	u.knobs = knobs{rows: frameRows, window: dedupWindow, check: true, stored: func(*frame) error { return nil }}
	u.mu.ledger.Stage = "clickhouse"
	u.expires = never
	if u.cfg.Keep > 0 {
		u.expires = proto.ToDateTime(u.cfg.Clock.Now().Add(u.cfg.Keep))
	}
	return u, nil
}

// never is the largest DateTime, in 2106.
const never = proto.DateTime(1<<32 - 1)

// recOf is the number of a recording. Two names may share one by chance of 1 in 4 billion; register sees it.
func recOf(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return h.Sum32()
}

// Recording is the address of the recording, without user and password.
func (u *Uploader) Recording() Address { return u.to.public() }

// Count is how many exchanges the recording has now.
func (u *Uploader) Count(ctx context.Context) (uint64, error) {
	f, err := u.to.fleet(ctx)
	if err != nil {
		return 0, err
	}
	defer f.close()
	r, err := stat(ctx, f)
	return r.Exchanges, u.to.fail(err)
}

// Ledger is what this run has read and stored so far. While it runs, accepted may be ahead of passed by
// what is on its way; afterwards it balances, and what could not be stored stands under "left in the tape".
func (u *Uploader) Ledger() traffic.Ledger {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.mu.ledger
	l.Dropped = maps.Clone(l.Dropped)
	return l
}

// Stored is how many of the tape's exchanges are in the store, those of earlier runs included.
func (u *Uploader) Stored() uint64 { return u.began.Load() + u.Ledger().Passed }

const reasonLeft = "left in the tape"

// Retries is how many attempts had to be made again, and why the last one failed.
func (u *Uploader) Retries() (n uint64, last error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.retries, u.mu.lastErr
}

// Run stores the tape and returns nil when it has ended and all of it is stored. Attempts that may succeed
// later are made again for as long as ctx lives; a wrong password, a missing right or a foreign schema end
// it. When ctx ends, Run goes on for Config.Drain: it waits for the Writer to be closed and stores what it
// left. So recorder and Uploader may be stopped together. What is left after that stays in the tape, and the
// next Run goes on there.
func (u *Uploader) Run(ctx context.Context) error {
	err := u.run(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	l := &u.mu.ledger
	l.Drop(reasonLeft, l.Accepted-l.Passed-l.Lost())
	if err != nil {
		return fmt.Errorf("store tape %q in ClickHouse: %w", u.cfg.Tape, u.to.fail(err))
	}
	return nil
}

func (u *Uploader) run(ctx context.Context) (err error) {
	hard, stopHard := u.outlive(ctx, u.cfg.Drain)
	defer stopHard()
	live, stopLive := u.outlive(ctx, u.cfg.Drain*4/5) // the rest is for sending what came last
	defer stopLive()
	identity, err := tapeIdentity(u.cfg.Tape)
	if err != nil {
		return err
	}
	c, fresh, err := loadCursor(u.cfg.Tape, u.to.public())
	if err != nil {
		return err
	}
	defer c.close()
	u.began.Store(c.Record)
	var f *fleet
	if err := u.again(hard, func() (err error) { f, err = u.to.fleet(hard); return err }); err != nil {
		return u.leave(ctx, hard, c, err)
	}
	defer f.close()
	if err := u.again(hard, func() error { return u.register(hard, f, c, identity, fresh) }); err != nil {
		return u.leave(ctx, hard, c, err)
	}
	complete, err := u.upload(live, hard, f, c, identity)
	if err != nil {
		return u.leave(ctx, hard, c, err)
	}
	if err := u.again(hard, func() error { return u.describe(hard, f, c, identity, complete) }); err != nil {
		return u.leave(ctx, hard, c, err)
	}
	if !complete {
		if u.cfg.Writer.Durable() == c.Record {
			return nil // told to stop, and nothing is left
		}
		return u.leave(ctx, hard, c, ctx.Err())
	}
	return u.again(hard, func() error { return u.verify(hard, f) })
}

// outlive returns a context that ends by d later than ctx.
func (u *Uploader) outlive(ctx context.Context, d time.Duration) (later context.Context, stop func()) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			if u.cfg.Clock.SleepUntil(later, u.cfg.Clock.Now().Add(d)) == nil {
				cancel()
			}
		case <-later.Done():
		}
	}()
	return later, func() { cancel(); <-done }
}

// again makes attempts until one succeeds or cannot.
func (u *Uploader) again(ctx context.Context, attempt func() error) error {
	wait := chconn.Backoff{Clock: u.cfg.Clock, Rand: chance.Stream(u.cfg.Seed, "clickhouse", uint64(u.rec))}
	for {
		err := attempt()
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		err = u.to.fail(err)
		u.mu.Lock()
		u.mu.retries++
		u.mu.lastErr = err
		u.mu.Unlock()
		u.cfg.Logf("store in ClickHouse, again: %v", err)
		if wait.Wait(ctx) != nil {
			return err
		}
	}
}

// inFlight is how many frames are being sent at once.
const inFlight = 2

// upload sends frames, two in flight and one being built, until the tape has ended or live does. It reports
// which; without an error everything that was durable is stored.
func (u *Uploader) upload(live, hard context.Context, fl *fleet, c *cursor, identity string) (ended bool, err error) {
	if err := c.place(len(fl.nodes)); err != nil {
		return false, err
	}
	wide := min(len(fl.nodes), maxWide)
	f := &framer{rec: u.rec, expires: u.expires, limit: u.knobs.rows * wide, bytes: frameBytes * wide, freeze: c.freeze,
		free: make(chan *frame, inFlight+1), full: make(chan *frame)}
	for range inFlight + 1 {
		f.free <- newFrame(len(fl.nodes), u.routes)
	}
	if u.cfg.Writer != nil {
		f.follow = u.cfg.Writer.Follow(c.Next)
	} else {
		if f.follow, err = tape.Follow(u.cfg.Tape, c.Next); err != nil {
			return false, err
		}
	}
	defer f.follow.Close()
	u.release(c)
	group, hard := errgroup.WithContext(hard)
	live, cancel := context.WithCancel(live)
	defer cancel()
	defer context.AfterFunc(hard, cancel)() // sending has failed
	again := slices.Clone(c.Flight)
	group.Go(func() error { return f.run(live, hard, again) })
	beat, stopBeat := context.WithCancel(hard)
	defer stopBeat()
	group.Go(func() error { return u.heartbeat(beat, fl, c, identity) })
	var senders sync.WaitGroup
	for range inFlight {
		senders.Add(1)
		group.Go(func() error {
			defer senders.Done()
			s := sender{u: u, nodes: fl.nodes, conns: make([]*ch.Client, len(fl.nodes))}
			defer s.closeAll()
			for fr := range f.full {
				if err := s.send(hard, c, fr); err != nil {
					return err
				}
				f.free <- fr // never waits
			}
			return nil
		})
	}
	group.Go(func() error { senders.Wait(); stopBeat(); return nil })
	err = group.Wait()
	return f.ended, err
}

// release lets the tape delete what is stored, when it has no room.
func (u *Uploader) release(c *cursor) {
	if u.cfg.Writer != nil {
		u.cfg.Writer.Release(c.reached().next)
	}
}

// beatTime is how often the store is told how far an upload has come.
const beatTime = 10 * time.Second

// heartbeat keeps what the store says about the recording true while it grows. A beat that fails is left
// out: the next insert finds out what is wrong.
func (u *Uploader) heartbeat(ctx context.Context, f *fleet, c *cursor, identity string) error {
	for u.cfg.Clock.SleepUntil(ctx, u.cfg.Clock.Now().Add(beatTime)) == nil {
		if err := u.describe(ctx, f, c, identity, false); err != nil && ctx.Err() == nil {
			u.cfg.Logf("tell ClickHouse how far the upload is: %v", err)
		}
	}
	return nil
}
