package injector

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// What Add, Renew and Remove can fail of besides a lease that is wrong in itself.
var (
	ErrNoLease = errors.New("no such lease")
	ErrOver    = errors.New("the lease is over; add it again")
	ErrTaken   = errors.New("a lease of this id is live")
	ErrFull    = errors.New("too many live leases")
)

const (
	maxLive = 256  // leases at once: every coloured exchange is held against each
	maxPast = 1024 // leases that are over and still listed, for the report
)

// Config of a Table. Zero fields take the default named beside them.
type Config struct {
	Clock  clock.Clock   // nil means clock.System
	MaxTTL time.Duration // 0 means 30m, see the constant
}

// A Table holds the leases of one process. It starts nothing: an expired lease strikes no more because
// its time is over, not because somebody came and removed it.
type Table struct {
	clock  clock.Clock
	maxTTL time.Duration
	base   time.Time // expiries count from here, on the monotonic clock

	live atomic.Pointer[[]*lease]          // what may strike, oldest first; nil when nothing may
	byID atomic.Pointer[map[string]*lease] // also those that are over
	mu   struct {
		sync.Mutex // held by whoever changes live or byID
		added      uint64
	}
}

// lease is a Lease that was granted.
type lease struct {
	Lease
	kind  string
	order uint64
	until atomic.Int64 // nanoseconds after Table.base; moved to the past by Remove
	gate  *gate        // shared with an earlier lease of the same id, whose strikes may still be under way

	removed atomic.Bool
	// Of this lease alone: a loop may still decide by an earlier lease of the id when its gate has passed on.
	looked, struck, overflow atomic.Uint64
}

// NewTable returns an empty table.
func NewTable(cfg Config) *Table {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.MaxTTL <= 0 {
		cfg.MaxTTL = MaxTTL
	}
	t := &Table{clock: cfg.Clock, maxTTL: cfg.MaxTTL, base: cfg.Clock.Now()}
	t.byID.Store(&map[string]*lease{})
	return t
}

func (t *Table) now() int64 { return int64(t.clock.Now().Sub(t.base)) }

// Add grants a lease. The id of a lease that is over may be used again; its counts begin anew.
func (t *Table) Add(asked Lease) (Status, error) {
	if err := asked.check(t.maxTTL); err != nil {
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.sweep(now)
	byID := maps.Clone(*t.byID.Load())
	if asked.ID == "" {
		asked.ID = fresh(byID)
	}
	old := byID[asked.ID]
	if old != nil && old.until.Load() > now {
		return Status{}, fmt.Errorf("add lease %s: %w", asked.ID, ErrTaken)
	}
	var live []*lease
	if p := t.live.Load(); p != nil {
		live = *p
	}
	if len(live) >= maxLive {
		return Status{}, fmt.Errorf("add lease %s: %w (%d)", asked.ID, ErrFull, maxLive)
	}
	l := &lease{Lease: asked, kind: Kind(asked.Fault), order: t.mu.added, gate: new(gate)}
	if old != nil {
		l.gate = old.gate
		l.gate.restart()
	}
	l.until.Store(now + int64(asked.TTL))
	t.mu.added++
	byID[l.ID] = l
	forget(byID, now)
	live = append(slices.Clone(live), l)
	t.byID.Store(&byID)
	t.live.Store(&live)
	return t.status(l, now), nil
}

// fresh is the first of f1, f2, ... that no lease has: the same leases in the same order get the same
// ids, and so the same luck.
func fresh(byID map[string]*lease) string {
	for n := 1; ; n++ {
		if id := "f" + strconv.Itoa(n); byID[id] == nil {
			return id
		}
	}
}

// Renew lets a live lease last its whole ttl again, from now.
func (t *Table) Renew(id string) (Status, error) {
	l := (*t.byID.Load())[id]
	if l == nil {
		return Status{}, fmt.Errorf("renew lease %q: %w", id, ErrNoLease)
	}
	for {
		now, until := t.now(), l.until.Load()
		if until <= now {
			return Status{}, fmt.Errorf("renew lease %s: %w", id, ErrOver)
		}
		if l.until.CompareAndSwap(until, now+int64(l.TTL)) {
			return t.status(l, now), nil
		}
	}
}

// Remove ends a lease now. Exchanges that it struck already stay struck. To end one that is over is no error.
func (t *Table) Remove(id string) (Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, now := (*t.byID.Load())[id], t.now()
	if l == nil {
		return Status{}, fmt.Errorf("remove lease %q: %w", id, ErrNoLease)
	}
	l.end(now)
	t.sweep(now)
	return t.status(l, now), nil
}

// Halt ends all leases now and returns how many were live.
func (t *Table) Halt() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.sweep(now)
	if live := t.live.Swap(nil); live != nil {
		for _, l := range *live {
			l.end(now)
			n++
		}
	}
	return n
}

// end moves the expiry into the past, so that loops that still hold the old list strike no more either.
func (l *lease) end(now int64) {
	for {
		until := l.until.Load()
		if until <= now {
			return
		}
		if l.until.CompareAndSwap(until, now) {
			l.removed.Store(true)
			return
		}
	}
}

// sweep takes what is over out of live. t.mu is held.
func (t *Table) sweep(now int64) {
	p := t.live.Load()
	if p == nil {
		return
	}
	over := func(l *lease) bool { return l.until.Load() <= now }
	switch live := slices.DeleteFunc(slices.Clone(*p), over); len(live) {
	case len(*p):
	case 0:
		t.live.Store(nil)
	default:
		t.live.Store(&live)
	}
}

// forget drops the oldest leases that are over, and that nothing under way was struck by, down to maxPast.
func forget(byID map[string]*lease, now int64) {
	if len(byID) <= maxPast+maxLive {
		return
	}
	var past []*lease
	for _, l := range byID {
		if l.until.Load() <= now && l.gate.active() == 0 {
			past = append(past, l)
		}
	}
	slices.SortFunc(past, byOrder)
	for _, l := range past[:max(0, len(past)-maxPast)] {
		delete(byID, l.ID)
	}
}
