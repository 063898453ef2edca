package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/injector/token"
)

// A Guard is one guard at many proxies. It is ready where at least one of them sees enough of its traffic, and trips
// as a whole when one of them does, or is not reached for three seconds.
type Guard struct {
	ID      string      `json:"id"`
	State   string      `json:"state"` // waiting, ready, tripped or over
	Why     string      `json:"why"`
	Guard   guard.Guard `json:"guard"`
	Proxies []GuardPart `json:"proxies"`
}

// A GuardPart is what a Guard is at one proxy.
type GuardPart struct {
	Name string `json:"name"`
	guard.Status
	Error string `json:"error,omitempty"`
}

// watch is a guard that was armed here.
type watch struct {
	asked   guard.Guard
	token   string
	order   uint64
	proxies []*proxy
	stop    context.CancelFunc // of its watchers
	end     sync.Once

	mu struct {
		sync.Mutex
		state, why string // armed ones: empty, and the proxies tell
	}
}

// waitFor is how long one question for the end of a guard waits at a proxy.
const waitFor = 10 * time.Second

// ArmGuard arms a guard at the proxies named, or at all: everywhere or nowhere.
func (c *Controller) ArmGuard(ctx context.Context, g guard.Guard, names []string, tok string) (Guard, error) {
	proxies, err := c.pick(names)
	if err != nil {
		return Guard{}, err
	}
	if tok = c.tokenOr(tok); tok == "" {
		return Guard{}, fmt.Errorf("arm guard: %w", &token.Error{Missing: true, Cause: "a drill token is needed, in header " + token.Header + "; the controller has none of its own"})
	}
	c.mu.Lock()
	for n := 1; g.ID == ""; n++ {
		if id := "g" + strconv.Itoa(n); c.mu.guards[id] == nil {
			g.ID = id
		}
	}
	if old := c.mu.guards[g.ID]; old != nil && old.over() == "" {
		c.mu.Unlock()
		return Guard{}, fmt.Errorf("arm guard %s: %w", g.ID, guard.ErrTaken)
	}
	c.mu.order++
	w := &watch{asked: g, token: tok, order: c.mu.order, proxies: proxies}
	life, stop := context.WithCancel(c.life)
	w.stop = stop
	c.mu.guards[g.ID] = w
	c.mu.Unlock()

	answers, errs := each(ctx, c, proxies, func(ctx context.Context, p *proxy) (guard.Status, error) {
		client := p.guards
		client.Token = tok
		return client.Arm(ctx, g)
	})
	if err := firstOf(proxies, errs); err != nil {
		stop()
		each(context.WithoutCancel(ctx), c, proxies, func(ctx context.Context, p *proxy) (guard.Status, error) {
			if i := slices.Index(proxies, p); errs[i] != nil && api.Code(errs[i]) != 0 {
				return guard.Status{}, nil // it said no, perhaps because it has one of this id that is another's
			}
			return p.guards.Remove(ctx, g.ID)
		})
		c.mu.Lock()
		if c.mu.guards[g.ID] == w {
			delete(c.mu.guards, g.ID)
		}
		c.mu.Unlock()
		if code := api.Code(err); code == 0 || code >= http.StatusInternalServerError {
			err = fmt.Errorf("%w: %w", ErrProxy, err)
		}
		return Guard{}, fmt.Errorf("arm guard %s: %w", g.ID, err)
	}
	for _, p := range proxies {
		c.wait.Go(func() { c.watch(life, w, p) })
	}
	c.cfg.Log(fmt.Sprintf("guard %s: armed at %d proxies", g.ID, len(proxies)))
	return w.report(answers, errs), nil
}

// over is the state of a guard that is armed no more, or empty.
func (w *watch) over() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.state
}

// watch waits at one proxy for the end of a guard there, which is its end everywhere.
func (c *Controller) watch(life context.Context, w *watch, p *proxy) {
	reached := c.cfg.Clock.Now()
	for life.Err() == nil {
		ctx, cancel := context.WithTimeout(life, waitFor+c.cfg.Timeout)
		st, err := p.guards.Wait(ctx, w.asked.ID, waitFor)
		cancel()
		now := c.cfg.Clock.Now()
		switch code := api.Code(err); {
		case life.Err() != nil:
			return
		case err == nil && (st.State == guard.Tripped || st.State == guard.Over):
			c.ended(w, st.State, p.name+": "+st.Why)
			return
		case err == nil:
			reached = now
			continue
		case code != 0 && code < http.StatusInternalServerError:
			c.ended(w, guard.Tripped, fmt.Sprintf("%s: %v", p.name, err)) // it has restarted
			return
		case now.Sub(reached) >= injector.Grace:
			c.ended(w, guard.Tripped, fmt.Sprintf("%s: not reached for %s, and missing data is bad data: %v", p.name, injector.Grace, err))
			return
		}
		if c.cfg.Clock.SleepUntil(life, now.Add(100*time.Millisecond)) != nil {
			return
		}
	}
}

// ended makes a guard one that watches no more, ends the faults that name it, and the guard where it still stands. It
// returns when that is done, whoever does it: the id may be used again then.
func (c *Controller) ended(w *watch, state, why string) {
	w.end.Do(func() {
		w.mu.Lock()
		w.mu.state, w.mu.why = state, why
		w.mu.Unlock()
		c.cfg.Log(fmt.Sprintf("guard %s: %s: %s", w.asked.ID, state, why))
		ctx := context.WithoutCancel(c.life)
		var all sync.WaitGroup
		for _, f := range c.sorted() {
			if f.lease.Guard == w.asked.ID {
				all.Go(func() { c.stop(ctx, f, injector.Tripped, "guard "+w.asked.ID+": "+why) })
			}
		}
		all.Wait()
		each(ctx, c, w.proxies, func(ctx context.Context, p *proxy) (guard.Status, error) { return p.guards.Remove(ctx, w.asked.ID) })
		w.stop()
	})
}

// tripped says why a guard that was armed here watches no more, or nothing.
func (c *Controller) tripped(id string) string {
	c.mu.Lock()
	w := c.mu.guards[id]
	c.mu.Unlock()
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.state == "" {
		return ""
	}
	return "guard " + id + ": " + w.mu.why
}

// guardAt says at which of f's proxies its guard is ready: elsewhere the guard's traffic does not pass.
func (c *Controller) guardAt(ctx context.Context, f *fault) (map[*proxy]bool, error) {
	if f.lease.Guard == "" {
		return nil, nil
	}
	g, err := c.Guard(ctx, f.lease.Guard)
	if err == nil && g.State != guard.Ready {
		err = fmt.Errorf("%s is %s: %s", g.ID, g.State, g.Why)
	}
	if err != nil {
		return nil, fmt.Errorf("arm fault %s: guard: %w: %w", f.id, err, injector.ErrGuard)
	}
	ready := make(map[*proxy]bool)
	for _, part := range g.Proxies {
		i := slices.IndexFunc(f.proxies, func(p *proxy) bool { return p.name == part.Name })
		if i >= 0 && part.State == guard.Ready {
			ready[f.proxies[i]] = true
		}
	}
	return ready, nil
}

// Guard asks all its proxies what they see.
func (c *Controller) Guard(ctx context.Context, id string) (Guard, error) {
	w, err := c.find(id)
	if err != nil {
		return Guard{}, err
	}
	return w.report(each(ctx, c, w.proxies, func(ctx context.Context, p *proxy) (guard.Status, error) { return p.guards.Status(ctx, id) })), nil
}

func (c *Controller) find(id string) (*watch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.mu.guards[id]
	if w == nil {
		return nil, fmt.Errorf("guard %q: %w", id, guard.ErrNoGuard)
	}
	return w, nil
}

// report joins what the proxies say with what is known here.
func (w *watch) report(answers []guard.Status, errs []error) Guard {
	g := Guard{ID: w.asked.ID, State: guard.Waiting, Guard: w.asked, Proxies: make([]GuardPart, len(answers))}
	for i, st := range answers {
		g.Proxies[i] = GuardPart{Name: w.proxies[i].name, Status: st}
		switch {
		case errs[i] != nil:
			g.Proxies[i].Error = errs[i].Error()
		case st.State == guard.Ready:
			g.State = guard.Ready
		case g.Why == "":
			g.Why = w.proxies[i].name + ": " + st.Why
		}
	}
	if g.State == guard.Ready {
		g.Why = ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.state != "" {
		g.State, g.Why = w.mu.state, w.mu.why
	}
	return g
}

// Guards returns all, oldest first.
func (c *Controller) Guards(ctx context.Context) []Guard {
	c.mu.Lock()
	all := slices.SortedFunc(maps.Values(c.mu.guards), func(a, b *watch) int { return cmp.Compare(a.order, b.order) })
	c.mu.Unlock()
	list := make([]Guard, 0, len(all))
	for _, w := range all {
		if g, err := c.Guard(ctx, w.asked.ID); err == nil {
			list = append(list, g)
		}
	}
	return list
}

// RemoveGuard ends a guard, and the faults that name it.
func (c *Controller) RemoveGuard(ctx context.Context, id string) (Guard, error) {
	w, err := c.find(id)
	if err != nil {
		return Guard{}, err
	}
	c.ended(w, guard.Over, "removed")
	return c.Guard(ctx, id)
}

// TripGuard trips a guard by hand, at all its proxies at once.
func (c *Controller) TripGuard(ctx context.Context, id string) (Guard, error) {
	w, err := c.find(id)
	if err != nil {
		return Guard{}, err
	}
	_, errs := each(ctx, c, w.proxies, func(ctx context.Context, p *proxy) (guard.Trip, error) { return p.guards.Trip(ctx, id) })
	c.ended(w, guard.Tripped, "tripped by hand")
	g, err := c.Guard(ctx, id)
	return g, errors.Join(err, firstOf(w.proxies, errs))
}
