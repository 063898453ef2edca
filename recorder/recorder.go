package recorder

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redlane/redlane/internal/pages"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// A Recorder records what passes its Filter. It is on from New until the context of Run ends.
type Recorder struct {
	cfg      Config
	services set
	weight   float32
	redact   *redactor
	shards   []shard
	active   atomic.Uint32 // shards that pages are filled by, from the first on
	bodies   bodyPool
	pages    *pages.Pool
	queue    chan filled  // has room for every page and largeQueued more: sending never blocks
	large    atomic.Int64 // of these, those larger than a page
	scratch  sync.Pool

	w      *tape.Writer
	broken atomic.Bool // the tape takes no more, for good
	halt   halt        // it takes nothing now
	ending atomic.Bool // Run is bringing to disk what there is
	failed chan struct{}
	once   sync.Once
	end    atomic.Pointer[traffic.Ledger] // after Run
}

// A filled is a page on its way to the tape.
type filled struct {
	tape.Page
	memory []byte
	large  bool // memory is of the body pool
	due    bool // it has waited long enough
}

// largeQueued is how many exchanges larger than a page may wait for the disk.
const largeQueued = 64

// New opens the tape and turns the tap on. Run must be called once, else the tape stays open.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	r := &Recorder{
		cfg: cfg, services: set{}, weight: float32(1 / cfg.Share), redact: newRedactor(&cfg.Redact),
		shards: make([]shard, cfg.Shards), pages: pages.New(tape.PageSize, cfg.PageMemory), failed: make(chan struct{}),
	}
	for _, s := range cfg.Services {
		r.services[s] = struct{}{}
	}
	for i := range r.shards {
		r.shards[i].r = r
	}
	r.active.Store(uint32(len(r.shards)))
	r.bodies.limit = cfg.BodyMemory
	r.queue = make(chan filled, r.pages.Pages()+largeQueued)
	r.scratch.New = func() any { return new(scratch) }

	tc := cfg.Tape
	tc.Redaction = cfg.Redact.rules()
	if tc.Clock == nil {
		tc.Clock = cfg.Clock
	}
	var err error
	if r.w, err = tape.Create(cfg.To, tc); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	return r, nil
}

// Filter is the tap. It belongs at the outside of a chain, once per service.
func (r *Recorder) Filter() traffic.BodyFilter { return tap{r} }

// Tap is the tap for sources that are no proxy.
func (r *Recorder) Tap() Tap { return tap{r} }

// Tape is the tape being written, for a store that follows it.
func (r *Recorder) Tape() *tape.Writer { return r.w }

// Failed is closed when the tape takes no more, for good: the disk is broken, see Err. Traffic goes on, the
// recorder goes on counting. A disk that is full is no failure: recording goes on when there is room.
func (r *Recorder) Failed() <-chan struct{} { return r.failed }

// Err is why recording broke off, or nil.
func (r *Recorder) Err() error { return r.w.Err() }

// Run writes until ctx ends, then turns the tap off and brings everything accepted to disk or into the
// ledger, which it leaves in the tape's meta.json. It returns why the tape broke, if it did.
func (r *Recorder) Run(ctx context.Context) error {
	var writers sync.WaitGroup
	for range r.cfg.Writers {
		writers.Go(r.write)
	}
	for next := r.cfg.Clock.Now(); ; {
		next = next.Add(r.cfg.FlushEvery)
		if now := r.cfg.Clock.Now(); next.Before(now) || next.Sub(now) > r.cfg.FlushEvery { // late, or the clock was set back
			next = now
		}
		if r.cfg.Clock.SleepUntil(ctx, next) != nil {
			break
		}
		r.flush()
		r.resume()
		_ = r.w.Expire() // no room is no news, the rest stands in Err
		if r.w.Err() != nil {
			r.fail() // the disk may fail while nobody writes
		}
	}
	r.ending.Store(true)
	for i := range r.shards {
		r.shards[i].end()
	}
	close(r.queue) // nobody sends any more: every shard is off
	writers.Wait()
	err := r.w.Sync()
	l := r.settle()
	r.end.Store(&l)
	r.w.SetLedger(l)
	if cerr := r.w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		r.fail()
		return fmt.Errorf("recorder: %w", err)
	}
	return nil
}

// flush hands over every page. Where few exchanges came since the last time, one shard takes what comes now: what
// it puts onto one page compresses better, and a block has its price.
func (r *Recorder) flush() {
	records := 0
	for i := range r.shards {
		records += r.shards[i].flush()
	}
	switch {
	case records > 2*fewRecords:
		r.active.Store(uint32(len(r.shards)))
	case records < fewRecords:
		r.active.Store(1)
	}
}

// fewRecords take a shard's lock for a thousandth of the time between two flushes.
const fewRecords = 300

// write brings pages to the tape until the queue ends. After an error it only gives them back: their
// exchanges are kept but not durable, which settle counts as lost with the disk.
func (r *Recorder) write() {
	for p := range r.queue {
		if !r.broken.Load() {
			if !r.take(p.Page) {
				r.fail()
			}
			if p.due {
				r.w.SyncSoon()
			}
		}
		if p.large {
			r.bodies.release(p.memory)
			r.large.Add(-1)
		} else {
			r.pages.Put(p.memory)
		}
	}
}

func (r *Recorder) fail() {
	r.once.Do(func() {
		r.broken.Store(true)
		close(r.failed)
	})
}

// sum adds up the books of the shards.
func (r *Recorder) sum() (c counts) {
	for why := range r.halt.refused { // before the shards: what is refused was kept
		n := r.halt.refused[why].Load()
		c.dropped[why] += n
		c.refused += n
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		c.accepted += s.mu.accepted
		c.sampledOut += s.mu.sampledOut
		c.filtered += s.mu.filtered
		c.kept += s.mu.kept
		for why, n := range s.mu.dropped {
			c.dropped[why] += n
		}
		s.mu.Unlock()
	}
	return c
}

func (c *counts) ledger(durable uint64) traffic.Ledger {
	l := traffic.Ledger{Stage: "record", Accepted: c.accepted, Passed: min(durable, c.kept-c.refused), Filtered: c.filtered, SampledOut: c.sampledOut}
	for why, n := range c.dropped {
		l.Drop(Reason(why).String(), n)
	}
	return l
}

// settle closes the books: what was kept and is not durable is lost, what was accepted and did not end
// will never come.
func (r *Recorder) settle() traffic.Ledger {
	c := r.sum()
	l := c.ledger(r.w.Kept())
	l.Drop(LostDisk.String(), c.kept-l.Passed-c.refused)
	l.Drop(LostUnfinished.String(), l.Accepted-l.Passed-l.Filtered-l.SampledOut-l.Lost())
	return l
}

// Ledger is what became of the exchanges so far. It balances after Run; before, what is missing is under way:
// not over yet, or not yet on disk.
func (r *Recorder) Ledger() traffic.Ledger {
	if l := r.end.Load(); l != nil {
		c := *l
		c.Dropped = nil
		for why, n := range l.Dropped {
			c.Drop(why, n)
		}
		return c
	}
	durable := r.w.Kept() // before the books, so that they are never behind it
	c := r.sum()
	return c.ledger(durable)
}

// Counters are what the ledger does not say.
type Counters struct {
	Kept       uint64 // exchanges encoded for the tape and not refused since; Tape().Kept() of them are on disk
	Redacted   uint64 // exchanges that lost something to redaction
	Hidden     uint64 // bodies dropped because redaction could not look into them
	BodyBytes  int64  // memory of bodies under way
	PagesOut   int    // pages being filled or waiting for the disk
	PagesLimit int
}

// Counters may be called at any time.
func (r *Recorder) Counters() Counters {
	c := r.sum()
	return Counters{
		Kept: c.kept - c.refused, Redacted: r.redact.redacted.Load(), Hidden: r.redact.hidden.Load(),
		BodyBytes: r.bodies.used.Load(), PagesOut: r.pages.Out(), PagesLimit: r.pages.Pages(),
	}
}
