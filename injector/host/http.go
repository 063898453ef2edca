package host

import (
	"fmt"
	"net/http"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/traffic"
)

// Handler serves the admin API of injector.Admin. Starting a fault takes a drill token for its lane, and so does
// going on with it; stopping takes nothing. What ends leases answers when the host is as it was.
func (a *Agent) Handler() http.Handler {
	add := func(text []byte) (Status, error) {
		lease, err := ParseLease(text)
		if err != nil {
			return Status{}, fmt.Errorf("read lease: %w", err)
		}
		return a.Add(lease)
	}
	return injector.Admin[Status]{Add: add, List: a.List, Renew: a.Renew, Remove: a.Remove, Halt: a.Halt, May: a.may}.Handler()
}

// may is injector.Admin's.
func (a *Agent) may(r *http.Request, text []byte, id string) error {
	if id != "" {
		a.mu.Lock()
		h := a.mu.leases[id]
		a.mu.Unlock()
		if h == nil {
			return nil // to say so takes no token
		}
		if err := a.allow(r, h.lease.Lane); err != nil {
			return fmt.Errorf("renew lease %s: %w", id, err)
		}
		return nil
	}
	lease, err := ParseLease(text)
	if err != nil {
		return fmt.Errorf("read lease: %w", err)
	}
	_, err = lease.check(a.file) // before the token: what is wrong with the lease says more
	if err == nil {
		err = a.allow(r, lease.Lane)
	}
	if err != nil {
		return fmt.Errorf("add lease: %w", err)
	}
	return nil
}

// allow says why the sender of r may not start faults in lane. The keys are read anew each time: whoever takes one
// away has it gone at once.
func (a *Agent) allow(r *http.Request, lane traffic.Color) error {
	keys, err := a.file.Drills.Read()
	if err != nil {
		return &token.Error{Cause: err.Error()}
	}
	_, err = token.Verify(keys, r.Header.Get(token.Header), lane, a.cfg.Clock.Now())
	return err
}
