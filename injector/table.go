package injector

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// What Add, Renew and Remove can fail of besides a lease that is wrong in itself.
var (
	ErrNoLease = errors.New("no such lease")
	ErrOver    = errors.New("the lease is over; add it again")
	ErrTaken   = errors.New("a lease of this id is live")
	ErrFull    = errors.New("too many live leases")
	ErrGuard   = errors.New("its guard does not watch")
	ErrHalted  = errors.New("faults are halted here")
)

// Grace is how long a lease lasts after it was added or last renewed, within its ttl: whoever holds one renews it
// every second, so that two renewals may be lost.
const Grace = 3 * time.Second

const (
	maxLive = 256  // leases at once: every coloured exchange is held against each
	maxPast = 1024 // leases that are over and still listed, for the report
)

// Config of a Table. Zero fields take the default named beside them.
type Config struct {
	Clock  clock.Clock   // nil means clock.System
	MaxTTL time.Duration // 0 means 30m, see the constant
	Grace  time.Duration // 0 means 3s, see the constant; only a test that renews nothing has a reason for more

	// Target says what in a lease cannot be hit here: a lane or a service that does not exist. nil: anything may be.
	Target func(lane traffic.Color, edge Edge) error
	// Guarded is asked about every lease that names a guard, and returns nil where that guard is armed and has
	// something to judge by. It must not call the Table. nil: no lease can name a guard.
	Guarded func(guard string) error
	// Allow says why whoever holds this drill token may not start faults in lane over HTTP: it is what
	// token.Verify returns. nil: nobody may. In-process callers are not asked.
	Allow func(text string, lane traffic.Color) error
	// Halted, where it is not nil, says that no lease may begin now, and why.
	Halted func() error
	// Ended is called after a lease was ended before its time: what it holds back may go on now. nil: what looks at its
	// Grip from time to time finds out.
	Ended func()
	// Issue makes the certificates that TLS faults present, for a name and a time. nil means one that signs itself:
	// callers that know its authority by heart refuse it for that as well.
	Issue func(name string, from, to time.Time) (*tls.Certificate, error)
}

// A Table holds the leases of one process. It starts nothing: an expired lease strikes no more because
// its time is over, not because somebody came and removed it.
type Table struct {
	clock   clock.Clock
	maxTTL  time.Duration
	grace   time.Duration
	target  func(traffic.Color, Edge) error
	guarded func(string) error
	halted  func() error
	allow   func(string, traffic.Color) error
	ended   func()
	base    time.Time // expiries count from here, on the monotonic clock

	started  int64 // base in Unix nanoseconds
	issue    func(name string, from, to time.Time) (*tls.Certificate, error)
	watching watching

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
	table   *Table
	kind    string
	order   uint64
	scope   scope
	conn    connFault    // of a fault that strikes connections and no exchanges
	harm    traffic.Harm // what all strikes ask that ask no more
	ends    int64        // nanoseconds after Table.base: nothing moves it
	until   atomic.Int64 // the same or earlier: of the dead man's switch; moved to the past by whoever ends the lease
	gate    *gate        // shared with an earlier lease of the same id, whose strikes may still be under way
	seats   *gate        // taken by exchanges of a fault that is seated
	answers answers      // of a fault that answers with what was answered before

	cut atomic.Pointer[string] // the state it was ended in, nil where its time ran out
	// Of this lease alone: a loop may still decide by an earlier lease of the id when its gate has passed on.
	looked, struck, overflow, undone atomic.Uint64
}

// NewTable returns an empty table.
func NewTable(cfg Config) *Table {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.MaxTTL <= 0 {
		cfg.MaxTTL = MaxTTL
	}
	if cfg.Ended == nil {
		cfg.Ended = func() {}
	}
	if cfg.Issue == nil {
		cfg.Issue = new(issuer).issue
	}
	t := &Table{
		clock: cfg.Clock, maxTTL: cfg.MaxTTL, grace: cmp.Or(cfg.Grace, Grace), target: cfg.Target, guarded: cfg.Guarded, halted: cfg.Halted, allow: cfg.Allow,
		ended: cfg.Ended, base: cfg.Clock.Now(), issue: cfg.Issue,
	}
	t.started = t.base.UnixNano()
	t.byID.Store(&map[string]*lease{})
	return t
}

func (t *Table) now() int64 { return int64(t.clock.Now().Sub(t.base)) }

func (t *Table) at(now int64) time.Time { return t.base.Add(time.Duration(now)) }

// Add grants a lease. The id of a lease that is over may be used again; its counts begin anew.
func (t *Table) Add(asked Lease) (Status, error) {
	if err := asked.check(t.maxTTL); err != nil {
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
	if t.target != nil {
		if err := t.target(asked.Lane, asked.Edge); err != nil {
			return Status{}, fmt.Errorf("add lease: %w", err)
		}
	}
	if t.halted != nil {
		if err := t.halted(); err != nil {
			return Status{}, fmt.Errorf("add lease: %w: %w", ErrHalted, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.watched(asked.Guard); err != nil { // under the lock: a guard that trips later finds the lease
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
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
	l := t.granted(asked)
	if old != nil {
		l.gate, l.seats = old.gate, old.seats
		l.gate.restart()
	}
	l.ends = now + int64(asked.TTL)
	l.until.Store(min(l.ends, now+int64(t.grace)))
	t.mu.added++
	byID[l.ID] = l
	forget(byID, now)
	live = append(slices.Clone(live), l)
	t.byID.Store(&byID)
	t.live.Store(&live)
	return t.status(l, now), nil
}

// granted is a lease as it was asked for, which check has found to be right.
func (t *Table) granted(asked Lease) *lease {
	l := &lease{Lease: asked, table: t, kind: Kind(asked.Fault), order: t.mu.added, gate: new(gate), seats: new(gate)}
	l.scope, _ = newScope(&l.Lease)
	if AtAccept(asked.Fault) {
		l.conn = asked.Fault.(connFault)
	}
	l.harm.Grip = l
	return l
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

func (t *Table) watched(guard string) error {
	switch {
	case guard == "":
		return nil
	case t.guarded == nil:
		return fmt.Errorf("guard: there are none here: %w", ErrGuard)
	}
	if err := t.guarded(guard); err != nil {
		return fmt.Errorf("guard: %w: %w", err, ErrGuard)
	}
	return nil
}

// Renew lets a live lease last Grace again, from now, but never longer than its ttl from when it was added.
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
		if l.until.CompareAndSwap(until, min(l.ends, now+int64(t.grace))) {
			return t.status(l, now), nil
		}
	}
}

// Remove ends a lease now, and what its strikes hold back goes on. To end one that is over is no error.
func (t *Table) Remove(id string) (Status, error) {
	l := (*t.byID.Load())[id]
	if l == nil {
		return Status{}, fmt.Errorf("remove lease %q: %w", id, ErrNoLease)
	}
	t.endAll(Removed, func(one *lease) bool { return one == l })
	return t.status(l, t.now()), nil
}

// Halt ends all leases now and returns how many were live.
func (t *Table) Halt() int { return len(t.endAll(Removed, func(*lease) bool { return true })) }

// Trip ends all leases that name the guard and returns their ids, oldest first.
func (t *Table) Trip(guard string) []string {
	return t.endAll(Tripped, func(l *lease) bool { return l.Guard == guard })
}

func (t *Table) endAll(state string, which func(*lease) bool) []string {
	ids := t.endThose(state, which)
	if len(ids) > 0 {
		t.ended()
	}
	return ids
}

func (t *Table) endThose(state string, which func(*lease) bool) (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.sweep(now)
	live := t.live.Load()
	if live == nil {
		return nil
	}
	for _, l := range *live {
		if which(l) && l.end(now, state) {
			ids = append(ids, l.ID)
		}
	}
	t.sweep(now)
	return ids
}

// end moves the expiry into the past, so that loops that still hold the old list strike no more either.
func (l *lease) end(now int64, state string) bool {
	for {
		until := l.until.Load()
		if until <= now {
			return false
		}
		if l.until.CompareAndSwap(until, now) {
			l.cut.Store(&state)
			return true
		}
	}
}

// sweep takes what is over out of live. t.mu is held.
func (t *Table) sweep(now int64) {
	p := t.live.Load()
	if p == nil {
		return
	}
	over := func(l *lease) bool {
		if l.until.Load() > now {
			return false
		}
		l.answers.forget()
		return true
	}
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
