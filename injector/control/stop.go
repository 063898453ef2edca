package control

import (
	"context"
	"fmt"

	"github.com/redlane/redlane/injector"
)

// Disarm ends a fault everywhere. To end one that is over is no error.
func (c *Controller) Disarm(ctx context.Context, id string) (Fault, error) {
	c.mu.Lock()
	f := c.mu.faults[id]
	c.mu.Unlock()
	if f == nil {
		return Fault{}, fmt.Errorf("disarm fault %q: %w", id, injector.ErrNoLease)
	}
	c.stop(ctx, f, injector.Removed, "disarmed")
	return f.report(), nil
}

// stop ends a fault once, and returns when that is done, whoever does it.
func (c *Controller) stop(ctx context.Context, f *fault, state, why string) {
	f.end.Do(func() { c.stopNow(ctx, f, state, why) })
}

func (c *Controller) stopNow(ctx context.Context, f *fault, state, why string) {
	f.mu.Lock()
	mine := !f.mu.ending
	f.mu.ending = true
	f.mu.Unlock()
	if !mine { // it was halted
		return
	}
	answers, errs := each(context.WithoutCancel(ctx), c, f.proxies, func(ctx context.Context, p *proxy) (brief, error) {
		return p.remove(ctx, f.id)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	// A proxy that ended it before us knows more than we do: a guard tripped there, or somebody halted it.
	if state == Lost {
		for i, s := range answers {
			switch {
			case errs[i] != nil || f.mu.last[i].State != injector.Live:
			case s.State == injector.Tripped:
				state, why = injector.Tripped, fmt.Sprintf("%s: guard %s tripped", f.proxies[i].name, f.lease.Guard)
			case f.mu.errs[i] != "" && s.State == injector.Removed:
				state, why = Halted, f.proxies[i].name+": ended there"
			}
		}
	}
	f.take(answers, errs, c.cfg.Clock.Now())
	f.mu.state, f.mu.why = state, why
	c.cfg.Log(fmt.Sprintf("fault %s: %s: %s; struck %d", f.id, state, why, struck(f.mu.last)))
}

func struck(all []brief) (n uint64) {
	for i := range all {
		n += all[i].Struck
	}
	return n
}

// endAll ends what is armed here.
func (c *Controller) endAll(ctx context.Context, state, why string) {
	for _, f := range c.sorted() {
		c.stop(ctx, f, state, why)
	}
}

// A Halt is what became of halting every fault at every proxy, also of those that others armed.
type Halt struct {
	Halted  int        `json:"halted"`
	Proxies []HaltPart `json:"proxies"`
}

// A HaltPart is what one proxy said.
type HaltPart struct {
	Name   string `json:"name"`
	Halted int    `json:"halted"`
	Error  string `json:"error,omitempty"`
}

// Halt ends all faults at all proxies, and renews none any more. The error names the proxies that were not reached;
// there, too, what was armed here is over after three seconds.
func (c *Controller) Halt(ctx context.Context) (Halt, error) {
	for _, f := range c.sorted() { // first of all: no renewal comes after this
		f.mu.Lock()
		if !f.mu.ending {
			f.mu.ending = true
			f.mu.state, f.mu.why = Halted, "everything was halted"
		}
		f.mu.Unlock()
	}
	counts, errs := each(ctx, c, c.proxies, func(ctx context.Context, p *proxy) (int, error) { return p.faults.Halt(ctx) })
	h := Halt{Proxies: make([]HaltPart, len(counts))}
	for i, n := range counts {
		h.Halted += n
		h.Proxies[i] = HaltPart{Name: c.proxies[i].name, Halted: n}
		if errs[i] != nil {
			h.Proxies[i].Error = errs[i].Error()
		}
	}
	c.cfg.Log(fmt.Sprintf("halt: %d faults ended at %d proxies", h.Halted, len(counts)))
	if err := firstOf(c.proxies, errs); err != nil {
		return h, fmt.Errorf("halt: %w: %w", ErrProxy, err)
	}
	return h, nil
}
