package control

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
)

// States of a Fault, beside those of a lease.
const (
	Lost   = "lost"   // a proxy was not reached, or had restarted
	Halted = "halted" // somebody ended it at a proxy
)

// A Fault is a lease at many proxies.
type Fault struct {
	ID      string         `json:"id"`
	State   string         `json:"state"` // live, expired, removed, tripped, lost or halted
	Why     string         `json:"why"`   // it is no longer live
	Lease   injector.Lease `json:"lease"`
	Armed   time.Time      `json:"armed"`
	Ends    time.Time      `json:"ends"`
	Apply   float64        `json:"apply_ms"` // from the request to the answer of the last proxy
	Renewed uint64         `json:"renewed"`  // rounds, each at all proxies

	// Of all proxies together, as of the last renewal.
	Looked    uint64  `json:"looked"`
	Struck    uint64  `json:"struck"`
	Overflow  uint64  `json:"overflow"`
	Active    uint64  `json:"active"`
	Delivered float64 `json:"delivered"` // Struck/Looked
	Proxies   []Part  `json:"proxies"`
}

// A Part is what a Fault is at one proxy.
type Part struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Looked   uint64 `json:"looked"`
	Struck   uint64 `json:"struck"`
	Overflow uint64 `json:"overflow"`
	Active   uint64 `json:"active"`
	Error    string `json:"error,omitempty"` // of the last call
}

// fault is one that was armed here.
type fault struct {
	id      string
	lease   injector.Lease
	token   string
	order   uint64
	proxies []*proxy
	armed   time.Time
	ends    time.Time
	apply   time.Duration
	end     sync.Once

	mu struct {
		sync.Mutex
		ending     bool // or over: nobody renews it any more
		state, why string
		renewed    uint64
		last       []brief     // of each proxy
		seen       []time.Time // when each proxy last said that it has it
		errs       []string
	}
}

// take keeps what the proxies said. f.mu is held.
func (f *fault) take(answers []brief, errs []error, now time.Time) {
	for i, err := range errs {
		if err != nil {
			f.mu.errs[i] = err.Error()
			continue
		}
		f.mu.last[i], f.mu.seen[i], f.mu.errs[i] = answers[i], now, ""
	}
}

func (f *fault) report() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := Fault{
		ID: f.id, State: f.mu.state, Why: f.mu.why, Lease: f.lease, Armed: f.armed, Ends: f.ends,
		Apply: float64(f.apply) / 1e6, Renewed: f.mu.renewed, Proxies: make([]Part, len(f.proxies)),
	}
	for i, p := range f.proxies {
		s := &f.mu.last[i]
		r.Proxies[i] = Part{p.name, s.State, s.Looked, s.Struck, s.Overflow, s.Active, f.mu.errs[i]}
		r.Looked += s.Looked
		r.Struck += s.Struck
		r.Overflow += s.Overflow
		r.Active += s.Active
	}
	if r.Looked > 0 {
		r.Delivered = float64(r.Struck) / float64(r.Looked)
	}
	return r
}

func (f *fault) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.ending
}

// Faults returns those that are live and those that were, oldest first.
func (c *Controller) Faults() []Fault {
	all := c.sorted()
	list := make([]Fault, len(all))
	for i, f := range all {
		list[i] = f.report()
	}
	return list
}

// Fault returns one.
func (c *Controller) Fault(id string) (Fault, bool) {
	c.mu.Lock()
	f := c.mu.faults[id]
	c.mu.Unlock()
	if f == nil {
		return Fault{}, false
	}
	return f.report(), true
}

func (c *Controller) sorted() []*fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.mu.faults), func(a, b *fault) int { return cmp.Compare(a.order, b.order) })
}

// maxPast is how many faults that are over are kept for the report.
const maxPast = 256

// forget drops the oldest that are over. c.mu is held.
func (c *Controller) forget() {
	var past []*fault
	for _, f := range c.mu.faults {
		if f.isOver() {
			past = append(past, f)
		}
	}
	slices.SortFunc(past, func(a, b *fault) int { return cmp.Compare(a.order, b.order) })
	for _, f := range past[:max(0, len(past)-maxPast)] {
		delete(c.mu.faults, f.id)
	}
}
