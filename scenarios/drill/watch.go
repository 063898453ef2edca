package drill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
)

// lookEvery is how often the proxies are asked for their leases and counters.
const lookEvery = 100 * time.Millisecond

// renewEvery is how often live leases are renewed; without that they would end 3 s after they were armed.
const renewEvery = time.Second

// watch looks at the proxies until it is stopped: at the leases of the lane, which are renewed, at the guard, and at
// the baseline. stop ends the method.
func (r *run) watch(ctx context.Context, stop context.CancelCauseFunc) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { r.renew(ctx) })
	both.Go(func() {
		w := &watcher{run: r, stop: stop}
		for r.sleep(ctx, lookEvery) == nil {
			w.look(ctx)
		}
	})
	return func() {
		cancel()
		both.Wait()
	}
}

// A watcher is what one watch remembers.
type watcher struct {
	run   *run
	stop  context.CancelCauseFunc
	blind int // looks in a row at which a proxy did not answer
}

func (w *watcher) look(ctx context.Context) {
	r := w.run
	live, err := r.plane.lives(ctx)
	var s *sample
	if err == nil {
		s, err = r.plane.scrape(ctx, r.drill.Service)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		// What cannot be seen is not guarded; but one answer that is late is no reason.
		if w.blind++; w.blind == 5 && r.drill.Guard != nil {
			r.abort(ctx, w.stop, "the proxies cannot be watched: "+err.Error())
		}
		return
	}
	w.blind = 0
	s.at = r.since()
	r.noteLeases(live, s.at)
	r.noteSample(s)
	if why := r.trippedGuard(ctx); why != "" {
		r.abort(ctx, w.stop, why)
	}
}

// renew keeps the leases of the lane alive until ctx ends: whoever arms one at a proxy need not do it. It waits for
// nothing else, because a lease ends 3 s after its last renewal.
func (r *run) renew(ctx context.Context) {
	for r.sleep(ctx, renewEvery) == nil {
		_ = r.plane.each(func(one *proxy) error { // what could not be renewed ends, and the next look shows it
			list, err := one.faults.List(ctx)
			for i := range list {
				if s := &list[i]; s.State == injector.Live && s.Lease.Lane == r.drill.Lane {
					_, _ = one.faults.Renew(ctx, s.ID)
				}
			}
			return err
		})
	}
}

// noteLeases keeps what the leases of the lane have done, and when they came and went.
func (r *run) noteLeases(live [][]injector.Status, at time.Duration) {
	var came, went []string
	r.mu.Lock()
	seen := make(map[string]bool)
	for i, list := range live {
		for _, s := range list {
			if s.Lease.Lane != r.drill.Lane || s.ID == r.brakeID() {
				continue
			}
			key := r.plane.proxies[i].base + " " + s.ID
			seen[key] = true
			f := r.mu.faults[key]
			if f == nil {
				f = &FaultRecord{Proxy: r.plane.proxies[i].base, from: at, to: -1}
				r.mu.faults[key] = f
				came = append(came, fmt.Sprintf("lease %s is live at %s: %s on %s, share %s", s.ID, f.Proxy, injector.Kind(s.Lease.Fault), s.Lease.Edge, s.Lease.Share))
			}
			f.Last = s
		}
	}
	for key, f := range r.mu.faults {
		if !seen[key] && f.to < 0 {
			f.to = at
			went = append(went, fmt.Sprintf("lease %s is over at %s", f.Last.ID, f.Proxy))
		}
	}
	if len(came) > 0 && r.spans.armed < 0 {
		r.spans.armed = at
	}
	if len(went) > 0 && len(seen) == 0 {
		r.spans.gone = at
	}
	r.mu.Unlock()
	for _, what := range append(came, went...) {
		r.audit("%s", what)
	}
}

// brief reports whether s was a lease of the method that came and went between two looks, as one does that trips its
// guard at once.
func (r *run) brief(s *injector.Status) bool {
	return s.Lease.Lane == r.drill.Lane && s.ID != r.brakeID() && s.State != injector.Live && s.Expires.After(r.feedZero.Add(r.spans.mayBeArmedFrom))
}

// seenGone notes that after the rollbacks nothing is live any more, and what the leases did last.
func (r *run) seenGone() {
	at := r.since()
	for i := range r.plane.proxies {
		one := &r.plane.proxies[i]
		ctx, cancel := context.WithTimeout(context.Background(), askLimit)
		list, err := one.faults.List(ctx)
		cancel()
		if err != nil {
			continue // what was seen last stays
		}
		r.mu.Lock()
		for _, s := range list {
			key := one.base + " " + s.ID
			if f := r.mu.faults[key]; f != nil {
				f.Last = s
			} else if r.brief(&s) {
				r.mu.faults[key] = &FaultRecord{Proxy: one.base, from: r.spans.mayBeArmedFrom, to: s.Expires.Sub(r.feedZero), Last: s}
			}
		}
		r.mu.Unlock()
	}
	var went []string
	r.mu.Lock()
	for _, f := range r.mu.faults {
		if f.to < 0 {
			f.to = at
			went = append(went, fmt.Sprintf("lease %s is over at %s: it struck %d of %d", f.Last.ID, f.Proxy, f.Last.Struck, f.Last.Looked))
		}
	}
	if r.spans.armed >= 0 && r.spans.gone < 0 {
		r.spans.gone = at
	}
	r.mu.Unlock()
	for _, what := range went {
		r.audit("%s", what)
	}
}

// noteSample keeps a sample at the end of each window.
func (r *run) noteSample(s *sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.mu.samples); n == 0 || s.at-r.mu.samples[n-1].at >= r.drill.Window {
		r.mu.samples = append(r.mu.samples, s)
	}
}

// abort ends the fault first and says why afterwards.
func (r *run) abort(ctx context.Context, stop context.CancelCauseFunc, why string) {
	r.mu.Lock()
	already := r.mu.stopped != ""
	if !already {
		r.mu.stopped = why
	}
	r.mu.Unlock()
	if already {
		return
	}
	decided := r.clock.Now()
	n, err := r.plane.removeLane(context.WithoutCancel(ctx), string(r.drill.Lane))
	took := r.clock.Now().Sub(decided)
	stop(errStopped)
	r.audit("STOPPED: %s", why)
	if err != nil {
		r.audit("end the leases: %v", err)
		return
	}
	r.audit("%d leases ended %.1f ms after that was seen", n, ms(took))
}
