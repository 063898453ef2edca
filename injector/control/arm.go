package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/token"
)

// ErrProxy is behind the error of a call that a proxy did not answer.
var ErrProxy = errors.New("a proxy was not reached")

// Arm puts a lease into force at the proxies named, or at all. When one of them does not take it, those that did
// give it up again before Arm returns.
func (c *Controller) Arm(ctx context.Context, l injector.Lease, names []string, tok string) (Fault, error) {
	proxies, err := c.pick(names)
	if err != nil {
		return Fault{}, err
	}
	began := c.cfg.Clock.Now()
	f, err := c.reserve(l, proxies, c.tokenOr(tok), began)
	if err != nil {
		return Fault{}, err
	}
	defer c.release(f)
	guards, err := c.guardAt(ctx, f)
	if err != nil {
		return Fault{}, err
	}
	if err := c.armAt(ctx, f, guards); err != nil {
		return Fault{}, err
	}
	f.apply = c.cfg.Clock.Now().Sub(began)
	c.mu.Lock()
	c.mu.faults[f.id] = f
	c.forget()
	c.mu.Unlock()
	c.cfg.Log(fmt.Sprintf("fault %s: armed at %d proxies in %s", f.id, len(proxies), f.apply.Round(10*time.Microsecond)))
	// Its guard may have tripped while it was being armed, with nobody there yet to end it.
	if why := c.tripped(l.Guard); why != "" {
		c.stop(ctx, f, injector.Tripped, why)
	}
	return f.report(), nil
}

func (c *Controller) tokenOr(tok string) string {
	if tok == "" {
		return c.cfg.Token
	}
	return tok
}

// reserve takes the id, so that nobody else arms it meanwhile.
func (c *Controller) reserve(l injector.Lease, proxies []*proxy, tok string, now time.Time) (*fault, error) {
	if tok == "" {
		return nil, fmt.Errorf("arm fault: %w", &token.Error{Missing: true, Cause: "a drill token is needed, in header " + token.Header + "; the controller has none of its own"})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := 1; l.ID == ""; n++ {
		if id := "f" + strconv.Itoa(n); c.mu.faults[id] == nil && !c.mu.arming[id] {
			l.ID = id
		}
	}
	if old := c.mu.faults[l.ID]; c.mu.arming[l.ID] || old != nil && !old.isOver() {
		return nil, fmt.Errorf("arm fault %s: %w", l.ID, injector.ErrTaken)
	}
	c.mu.order++
	f := &fault{id: l.ID, lease: l, token: tok, order: c.mu.order, proxies: proxies, armed: now, ends: now.Add(l.TTL)}
	f.mu.state = injector.Live
	f.mu.last, f.mu.seen, f.mu.errs = make([]brief, len(proxies)), make([]time.Time, len(proxies)), make([]string, len(proxies))
	c.mu.arming[l.ID] = true
	return f, nil
}

func (c *Controller) release(f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.arming, f.id)
}

// armAt adds the lease at all proxies. guards, where it is not nil, says at which of them the guard watches.
func (c *Controller) armAt(ctx context.Context, f *fault, guards map[*proxy]bool) error {
	l := f.lease
	guarded, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("arm fault: %w", err)
	}
	l.Guard = "" // where its traffic does not pass: a trip elsewhere ends it there, by way of us
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("arm fault: %w", err)
	}
	answers, errs := each(ctx, c, f.proxies, func(ctx context.Context, p *proxy) (brief, error) {
		if guards[p] {
			return p.add(ctx, guarded, f.token)
		}
		return p.add(ctx, plain, f.token)
	})
	now := c.cfg.Clock.Now()
	f.mu.Lock()
	f.take(answers, errs, now)
	f.mu.Unlock()
	if err = firstOf(f.proxies, errs); err == nil {
		return nil
	}
	// One that did not answer may have taken it. It is told too; if that fails, three seconds do it.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
	defer cancel()
	each(undo, c, f.proxies, func(ctx context.Context, p *proxy) (struct{}, error) {
		for i := range f.proxies {
			if f.proxies[i] == p && (errs[i] == nil || api.Code(errs[i]) == 0) {
				_, err := p.remove(ctx, f.id)
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if code := api.Code(err); code == 0 || code >= http.StatusInternalServerError {
		err = fmt.Errorf("%w: %w", ErrProxy, err)
	}
	return fmt.Errorf("arm fault %s: %w; no proxy has it", f.id, err)
}

// renew renews all faults at all proxies at once.
func (c *Controller) renew(ctx context.Context) {
	for _, f := range c.sorted() {
		if !f.isOver() {
			c.wait.Go(func() { c.renewOne(ctx, f) })
		}
	}
}

func (c *Controller) renewOne(ctx context.Context, f *fault) {
	if !c.cfg.Clock.Now().Before(f.ends) {
		c.stop(ctx, f, injector.Expired, fmt.Sprintf("its ttl of %s is over", f.lease.TTL))
		return
	}
	answers, errs := each(ctx, c, f.proxies, func(ctx context.Context, p *proxy) (brief, error) { return p.renew(ctx, f.id, f.token) })
	now := c.cfg.Clock.Now()
	f.mu.Lock()
	f.take(answers, errs, now)
	if firstOf(f.proxies, errs) == nil {
		f.mu.renewed++
	}
	seen := f.mu.seen
	f.mu.Unlock()
	for i, err := range errs {
		switch {
		case err == nil:
		case !now.Before(f.ends):
			c.stop(ctx, f, injector.Expired, fmt.Sprintf("its ttl of %s is over", f.lease.TTL))
			return
		case api.Code(err) != 0 && api.Code(err) < http.StatusInternalServerError:
			c.stop(ctx, f, Lost, fmt.Sprintf("%s: %v", f.proxies[i].name, err))
			return
		case now.Sub(seen[i]) >= injector.Grace:
			c.stop(ctx, f, Lost, fmt.Sprintf("%s: not reached for %s: %v", f.proxies[i].name, now.Sub(seen[i]).Round(time.Millisecond), err))
			return
		}
	}
}
