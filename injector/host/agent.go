package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/clock"
)

// A HeldError says that a live lease changes the same thing already. It is an injector.ErrTaken.
type HeldError struct{ What, Lease string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("lease %s changes %s already", e.Lease, strings.TrimSpace(e.What))
}

// Is reports whether the admin API answers as for target.
func (e *HeldError) Is(target error) bool { return target == injector.ErrTaken }

const maxPast = 1000 // leases that are over and still listed

// Config of an Agent. Zero fields take the default named beside them.
type Config struct {
	File   *File        // required
	Keeper []string     // required: program and arguments that call Keep with standard input and output
	Env    []string     // of keepers; nil means this process's
	Clock  clock.Clock  // nil means clock.System
	Log    func(string) // one line for each lease that begins or ends; nil: nowhere
}

// An Agent holds the leases of one host. Run must run for as long as it is used.
type Agent struct {
	cfg  Config
	file *File
	lock *os.File // held while the state directory is ours
	wg   sync.WaitGroup

	mu struct {
		sync.Mutex
		leases  map[string]*held
		added   int
		closing bool
	}
}

// New takes the state directory, which one agent at a time may have, and takes back what a former agent left.
func New(cfg Config) (*Agent, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	a := &Agent{cfg: cfg, file: cfg.File}
	a.mu.leases = make(map[string]*held)
	if err := os.MkdirAll(cfg.File.State, 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cfg.File.State, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another agent has it")
		}
		return nil, fmt.Errorf("open state %s: %w", cfg.File.State, err)
	}
	a.lock = lock
	if err := a.recover(); err != nil {
		lock.Close()
		return nil, err
	}
	return a, nil
}

func (a *Agent) log(line string) { a.cfg.Log(line) }

// Run looks after the keepers until ctx ends, and returns when all leases are over and taken back. What could
// not be is in the error, and in the state directory for the next agent.
func (a *Agent) Run(ctx context.Context) error {
	const look = 100 * time.Millisecond
	for a.cfg.Clock.SleepUntil(ctx, a.cfg.Clock.Now().Add(look)) == nil {
		a.endLate()
		if a.file.Drills.halted() {
			a.Halt()
		}
	}
	a.mu.Lock()
	a.mu.closing = true
	a.mu.Unlock()
	a.Halt()
	a.wg.Wait()
	defer a.lock.Close()
	var all error
	for _, s := range a.List() {
		if s.State == Stuck {
			all = errors.Join(all, fmt.Errorf("take back lease %s: %s", s.ID, s.Problem))
		}
	}
	return all
}

// endLate ends keepers that should have ended by themselves: stopped by somebody, or starved.
func (a *Agent) endLate() {
	const late = time.Second
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Clock.Now()
	for _, h := range a.mu.leases {
		switch {
		case h.state == Live && (now.After(h.ends.Add(late)) || now.After(h.renewed.Add(Silence+late))):
			h.kill()
		case h.state == Arming && now.After(h.renewed.Add(endWait)):
			h.kill()
		}
	}
}

// Add grants a lease, and returns when the fault is there.
func (a *Agent) Add(asked Lease) (Status, error) {
	target, err := asked.check(a.file)
	if err != nil {
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
	h, err := a.reserve(asked, target)
	if err != nil {
		return Status{}, fmt.Errorf("add lease: %w", err)
	}
	if err := h.start(); err != nil {
		a.finish(h, Refused, "")
		close(h.done)
		return Status{}, fmt.Errorf("add lease %s: %w", h.lease.ID, err)
	}
	<-h.begun
	if h.refusal != nil {
		<-h.done // so that it is in nobody's way any more
		return Status{}, fmt.Errorf("add lease %s: %w", h.lease.ID, h.refusal)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return h.status(), nil
}

// reserve takes the id and its part of what all leases together may have.
func (a *Agent) reserve(asked Lease, target *Target) (*held, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.closing {
		return nil, errors.New("the agent is ending")
	}
	if a.file.Drills.halted() {
		return nil, injector.ErrHalted
	}
	for n := 1; asked.ID == ""; n++ {
		if id := "h" + strconv.Itoa(n); a.mu.leases[id] == nil {
			asked.ID = id
		}
	}
	if old := a.mu.leases[asked.ID]; old != nil && !old.over() {
		return nil, fmt.Errorf("%s: %w", asked.ID, injector.ErrTaken)
	}
	caps := &a.file.Caps
	live, sum := 0, costOf(asked.Fault, caps)
	for _, h := range a.mu.leases {
		if !h.over() {
			c := costOf(h.lease.Fault, caps)
			live, sum.cpu, sum.memory, sum.disk = live+1, sum.cpu+c.cpu, sum.memory+c.memory, sum.disk+c.disk
		}
	}
	switch {
	case live >= caps.Leases:
		return nil, fmt.Errorf("%w (caps.leases %d)", injector.ErrFull, caps.Leases)
	case sum.cpu > caps.CPU:
		return nil, fmt.Errorf("cores: %.3g with the other leases, and caps.cpu is %.3g", sum.cpu, caps.CPU)
	case sum.memory > caps.Memory:
		return nil, fmt.Errorf("size: %s of memory with the other leases, and caps.memory is %s", sum.memory, caps.Memory)
	case sum.disk > caps.Disk:
		return nil, fmt.Errorf("size: %s of disk with the other leases, and caps.disk is %s", sum.disk, caps.Disk)
	}
	now := a.cfg.Clock.Now()
	h := &held{
		agent: a, lease: asked, target: target, order: a.mu.added, state: Arming, ends: now.Add(asked.TTL), renewed: now,
		begun: make(chan struct{}), done: make(chan struct{}),
	}
	a.mu.added++
	a.mu.leases[asked.ID] = h
	a.forget()
	return h, nil
}

func costOf(f Fault, caps *Caps) cost {
	if c, ok := f.(coster); ok {
		return c.cost(*caps)
	}
	return cost{}
}

// forget drops the oldest leases that are over, down to maxPast. a.mu is held.
func (a *Agent) forget() {
	past := slices.DeleteFunc(a.sorted(), func(h *held) bool { return !h.over() })
	for _, h := range past[:max(0, len(past)-maxPast)] {
		delete(a.mu.leases, h.lease.ID)
	}
}

// conflict returns a HeldError if a lease that is not over changes what the plan would change.
func (a *Agent) conflict(h *held, plan []Step) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, other := range a.sorted() {
		if other == h || other.over() {
			continue
		}
		for i := range other.plan {
			for j := range plan {
				if what := plan[j].resource(); what == other.plan[i].resource() {
					return &HeldError{what, other.lease.ID}
				}
			}
		}
	}
	h.plan = plan // from here on it is ours, and the next one sees it
	return nil
}

// Renew lets a live lease last Silence more, but never longer than its ttl.
func (a *Agent) Renew(id string) (Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.mu.leases[id]
	switch {
	case h == nil:
		return Status{}, fmt.Errorf("renew lease %q: %w", id, injector.ErrNoLease)
	case h.state != Live || !h.tell(wordRenew):
		return Status{}, fmt.Errorf("renew lease %s: %w", id, injector.ErrOver)
	}
	h.renewed = a.cfg.Clock.Now()
	return h.status(), nil
}

// Remove ends a lease, and returns when the host is as it was. To end one that is over is no error.
func (a *Agent) Remove(id string) (Status, error) {
	a.mu.Lock()
	h := a.mu.leases[id]
	a.mu.Unlock()
	if h == nil {
		return Status{}, fmt.Errorf("remove lease %q: %w", id, injector.ErrNoLease)
	}
	h.end()
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.state == Stuck {
		return Status{}, fmt.Errorf("remove lease %s: not taken back yet: %s", id, h.problem)
	}
	return h.status(), nil
}

// Halt ends all leases, and returns how many there were when the host is as it was.
func (a *Agent) Halt() int {
	a.mu.Lock()
	live := slices.DeleteFunc(a.sorted(), func(h *held) bool { return h.over() })
	a.mu.Unlock()
	var wg sync.WaitGroup
	for _, h := range live {
		wg.Go(h.end)
	}
	wg.Wait()
	return len(live)
}

// finish says how a lease ended.
func (a *Agent) finish(h *held, state, problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h.state, h.problem = state, problem
	if problem != "" {
		state += ": " + problem
	}
	a.log(fmt.Sprintf("lease %s on %s: %s", h.lease.ID, h.target.Name, state))
}
