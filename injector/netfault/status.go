package netfault

import "time"

// Status is a lease and what it has done.
type Status struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // live, expired or removed: those of package injector
	Expires time.Time `json:"expires"`
	Lease   Lease     `json:"lease"`
	Ways    []WayDone `json:"ways"`
	Error   string    `json:"error,omitempty"` // what could not be counted, or taken back
}

// WayDone is what one direction of a lease has done.
type WayDone struct {
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Means string `json:"means"` // by what packets suffer
	Counts
}

func (l *lease) status() Status {
	l.mu.Lock()
	s := Status{ID: l.ID, State: l.mu.state, Expires: l.until(), Lease: l.Lease}
	err := l.mu.left
	l.mu.Unlock()
	for _, w := range l.ways {
		n, e := w.counts()
		if e != nil && err == nil {
			err = e
		}
		s.Ways = append(s.Ways, WayDone{w.from, w.to, w.means, n})
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}
