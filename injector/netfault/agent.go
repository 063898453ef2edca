package netfault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

const (
	maxLive = 16  // leases at once: each way has a thread, and a device or a table of rules
	maxPast = 256 // leases that are over and still listed
)

// Config of an Agent. Zero fields take the default named beside them.
type Config struct {
	Undoer     []string      // required: the command line of a process that runs Undo, see cmd/redlane
	Namespaces string        // folder of named network namespaces; empty means /run/netns
	MaxTTL     time.Duration // 0 means 30m
	Clock      clock.Clock   // nil means clock.System
	Stderr     io.Writer     // of the undoer; nil means nowhere

	// Allow says why whoever holds this drill token may not start faults in lane over HTTP: it is what
	// token.Verify returns. nil: nobody may. In-process callers are not asked.
	Allow func(text string, lane traffic.Color) error
}

// An Agent holds the leases of one machine. It ends with Run.
type Agent struct {
	cfg    Config
	undoer *undoer
	wg     sync.WaitGroup // of leases

	mu struct {
		sync.Mutex
		all    []*lease // oldest first
		closed bool
		made   int
	}
}

// New starts an Agent and its undoer. Nothing is touched before the first Add.
func New(cfg Config) (*Agent, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.MaxTTL <= 0 {
		cfg.MaxTTL = MaxTTL
	}
	if cfg.Namespaces == "" {
		cfg.Namespaces = Namespaces
	}
	u, err := startUndoer(cfg.Undoer, cfg.Stderr)
	if err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, undoer: u}, nil
}

// Run returns when ctx has ended, or with an error when the undoer has died. All leases are over then.
func (a *Agent) Run(ctx context.Context) error {
	died := make(chan error, 1)
	go func() { died <- a.undoer.wait() }()
	var err error
	select {
	case <-ctx.Done():
	case e := <-died:
		err = errors.Join(errors.New("the undoer has ended, so all faults have"), e)
		died <- nil
	}
	a.mu.Lock()
	a.mu.closed = true
	a.mu.Unlock()
	a.Halt()
	a.wg.Wait()
	a.undoer.stop()
	return errors.Join(err, <-died)
}

// Add grants a lease and puts it into force: when it returns, packets suffer.
func (a *Agent) Add(asked Lease) (Status, error) {
	if err := asked.Check(a.cfg.MaxTTL); err != nil {
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.closed {
		return Status{}, errors.New("add lease: the agent is ending")
	}
	if asked.ID == "" {
		asked.ID = a.fresh()
	}
	if err := a.conflict(&asked); err != nil {
		return Status{}, fmt.Errorf("add lease %s: %w", asked.ID, err)
	}
	l := &lease{Lease: asked, over: make(chan struct{})}
	if err := a.arm(l); err != nil {
		return Status{}, fmt.Errorf("add lease %s: %w", asked.ID, errors.Join(err, a.disarm(l)))
	}
	now := a.cfg.Clock.Now()
	l.dies, l.mu.renewed, l.mu.state = now.Add(l.TTL), now, injector.Live
	a.mu.all = append(slices.DeleteFunc(a.mu.all, func(o *lease) bool { return o.ID == l.ID }), l)
	a.forget()
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	a.wg.Go(func() { a.hold(ctx, l) })
	for _, w := range l.ways {
		if w.broken != nil {
			a.wg.Go(func() { l.watch(w.broken) })
		}
	}
	return l.status(), nil
}

// Renew lets a live lease last injector.Grace again, but no longer than its ttl.
func (a *Agent) Renew(id string) (Status, error) {
	a.mu.Lock()
	l := a.find(id)
	a.mu.Unlock()
	if l == nil {
		return Status{}, fmt.Errorf("renew lease %q: %w", id, injector.ErrNoLease)
	}
	now := a.cfg.Clock.Now()
	l.mu.Lock()
	over := l.mu.state != injector.Live || !now.Before(l.until())
	if !over {
		l.mu.renewed = now
	}
	l.mu.Unlock()
	if over {
		return Status{}, fmt.Errorf("renew lease %s: %w", id, injector.ErrOver)
	}
	return l.status(), nil
}

// Remove ends a lease and returns when all of it is taken back. To end one that is over is no error.
func (a *Agent) Remove(id string) (Status, error) {
	a.mu.Lock()
	l := a.find(id)
	a.mu.Unlock()
	if l == nil {
		return Status{}, fmt.Errorf("remove lease %q: %w", id, injector.ErrNoLease)
	}
	l.end()
	<-l.over
	return l.status(), nil
}

// Halt ends all leases, returns when all is taken back, and how many were live.
func (a *Agent) Halt() (n int) {
	a.mu.Lock()
	all := slices.Clone(a.mu.all)
	a.mu.Unlock()
	for _, l := range all {
		if !l.isOver() {
			n++
		}
		l.end()
	}
	for _, l := range all {
		<-l.over
	}
	return n
}

// List returns the leases that are live and the last that are not, oldest first.
func (a *Agent) List() []Status {
	a.mu.Lock()
	all := slices.Clone(a.mu.all)
	a.mu.Unlock()
	list := make([]Status, len(all))
	for i, l := range all {
		list[i] = l.status()
	}
	return list
}

// fresh is the first of n1, n2, ... that no lease has: the same leases in the same order get the same luck.
func (a *Agent) fresh() string {
	for n := 1; ; n++ {
		if id := "n" + strconv.Itoa(n); a.find(id) == nil {
			return id
		}
	}
}

// find is by id. a.mu is held.
func (a *Agent) find(id string) *lease {
	for _, l := range a.mu.all {
		if l.ID == id {
			return l
		}
	}
	return nil
}

func (a *Agent) conflict(asked *Lease) error {
	live := 0
	for _, l := range a.mu.all {
		if l.isOver() {
			continue
		}
		live++
		if l.ID == asked.ID {
			return injector.ErrTaken
		}
		if l.overlaps(asked) {
			return &overlapError{l.ID}
		}
	}
	if live >= maxLive {
		return fmt.Errorf("%w (%d)", injector.ErrFull, maxLive)
	}
	return nil
}

// An overlapError names the lease that has packets which another asks for: nobody could say what both would do.
type overlapError struct{ id string }

func (e *overlapError) Error() string { return "lease " + e.id + " has some of those packets" }

func (e *overlapError) Is(target error) bool { return target == injector.ErrTaken }

func (a *Agent) forget() {
	if len(a.mu.all) > maxPast+maxLive {
		i := slices.IndexFunc(a.mu.all, (*lease).isOver)
		a.mu.all = slices.Delete(a.mu.all, i, i+1)
	}
}

// name is that of a table: nobody else's has this process's number in it.
func (a *Agent) name() string {
	a.mu.made++
	return fmt.Sprintf("redlane-net-%d-%d", os.Getpid(), a.mu.made)
}
