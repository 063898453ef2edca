package host

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Status is a lease and what became of it.
type Status struct {
	ID      string          `json:"id"`
	State   string          `json:"state"`
	Expires time.Time       `json:"expires"` // when its ttl ends; renewals do not move it
	Lease   json.RawMessage `json:"lease"`   // as it was asked for
	Keeper  int             `json:"keeper,omitempty"`
	Changes []Step          `json:"changes,omitempty"` // what is, or was, different on the host
	Got     string          `json:"got,omitempty"`     // what is, or was, held, in words
	Problem string          `json:"problem,omitempty"` // why the last try to take it back did not work
}

// The states of a lease. All but the first two are ends: the host is as it was.
const (
	Arming   = "arming"
	Live     = "live"
	Stuck    = "stuck"    // it is over and could not be taken back yet; tried again every second
	Expired  = "expired"  // its ttl ended
	Lapsed   = "lapsed"   // nobody renewed it
	Removed  = "removed"  // somebody ended it, or all
	Orphaned = "orphaned" // its keeper or its agent was killed
	Refused  = "refused"  // it never began
)

func (h *held) over() bool {
	switch h.state {
	case Arming, Live, Stuck:
		return false
	}
	return true
}

func (h *held) status() Status {
	return Status{
		ID: h.lease.ID, State: h.state, Expires: h.ends, Lease: h.lease.Text, Keeper: h.keeper, Changes: h.plan, Got: h.got, Problem: h.problem,
	}
}

// List returns the leases that are not over and the last thousand that are, oldest first.
func (a *Agent) List() []Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Status, 0, len(a.mu.leases))
	for _, h := range a.sorted() {
		list = append(list, h.status())
	}
	return list
}

// sorted is oldest first. a.mu is held.
func (a *Agent) sorted() []*held {
	all := make([]*held, 0, len(a.mu.leases))
	for _, h := range a.mu.leases {
		all = append(all, h)
	}
	slices.SortFunc(all, func(x, y *held) int { return cmp.Compare(x.order, y.order) })
	return all
}
