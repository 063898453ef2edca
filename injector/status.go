package injector

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Status is a lease and what it has done. The share asked for is Lease.Share; Delivered is what came of it.
type Status struct {
	ID      string    `json:"id"`
	State   string    `json:"state"`   // live, expired, removed or tripped
	Expires time.Time `json:"expires"` // unless it is renewed
	Ends    time.Time `json:"ends"`    // whatever is renewed
	Lease   Lease     `json:"lease"`

	Looked   uint64 `json:"looked"`   // exchanges it decided about; those an older lease struck first are not among them
	Struck   uint64 `json:"struck"`   // of those, struck
	Overflow uint64 `json:"overflow"` // of those, spared by max_requests or max_active
	Undone   uint64 `json:"undone"`   // of those, spared because the fault could not be done to them: no JSON, no earlier answer
	Active   uint64 `json:"active"`   // struck and not yet over

	Delivered float64 `json:"delivered"` // Struck/Looked, 0 when it looked at none
}

// The states of a lease.
const (
	Live    = "live"
	Expired = "expired"
	Removed = "removed"
	Tripped = "tripped" // by its guard
)

// List returns the leases that are live and the last thousand that are not, oldest first.
func (t *Table) List() []Status {
	now := t.now()
	all := slices.SortedFunc(maps.Values(*t.byID.Load()), byOrder)
	list := make([]Status, len(all))
	for i, l := range all {
		list[i] = t.status(l, now)
	}
	return list
}

// Live is how many leases may strike now.
func (t *Table) Live() (n int) {
	if live := t.live.Load(); live != nil {
		now := t.now()
		for _, l := range *live {
			if l.until.Load() > now {
				n++
			}
		}
	}
	return n
}

func byOrder(a, b *lease) int { return cmp.Compare(a.order, b.order) }

// Status returns one lease, live or over.
func (t *Table) Status(id string) (Status, bool) {
	l := (*t.byID.Load())[id]
	if l == nil {
		return Status{}, false
	}
	return t.status(l, t.now()), true
}

func (t *Table) status(l *lease, now int64) Status {
	until := l.until.Load()
	s := Status{
		ID: l.ID, State: Live, Expires: t.base.Add(time.Duration(until)), Ends: t.base.Add(time.Duration(l.ends)), Lease: l.Lease,
		Looked: l.looked.Load(), Struck: l.struck.Load(), Overflow: l.overflow.Load(), Undone: l.undone.Load(), Active: l.gate.active(),
	}
	if until <= now {
		s.State = Expired
	}
	if cut := l.cut.Load(); cut != nil {
		s.State = *cut
	}
	if s.Looked > 0 {
		s.Delivered = float64(s.Struck) / float64(s.Looked)
	}
	return s
}
