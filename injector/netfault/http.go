package netfault

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/token"
)

// Handler serves the admin API of injector.Admin. Starting a fault takes a drill token for its lane, and so does
// going on with it; stopping takes nothing. What ends leases answers when all of it is taken back.
func (a *Agent) Handler() http.Handler {
	add := func(text []byte) (Status, error) {
		asked, err := readLease(text)
		if err != nil {
			return Status{}, err
		}
		return a.Add(asked)
	}
	return injector.Admin[Status]{Add: add, List: a.List, Renew: a.Renew, Remove: a.Remove, Halt: a.Halt, May: a.may}.Handler()
}

func readLease(text []byte) (l Lease, err error) {
	if err := l.UnmarshalJSON(text); err != nil {
		return l, fmt.Errorf("read lease: %w", err)
	}
	return l, nil
}

// may is injector.Admin's.
func (a *Agent) may(r *http.Request, text []byte, id string) error {
	if id != "" {
		a.mu.Lock()
		l := a.find(id)
		a.mu.Unlock()
		if l == nil {
			return nil // to say so takes no token
		}
		if err := a.allow(r, &l.Lease); err != nil {
			return fmt.Errorf("renew lease %s: %w", id, err)
		}
		return nil
	}
	asked, err := readLease(text)
	if err != nil {
		return err
	}
	if err = asked.Check(a.cfg.MaxTTL); err == nil { // before the token: what is wrong with the lease says more
		err = a.allow(r, &asked)
	}
	if err != nil {
		return fmt.Errorf("add lease: %w", err)
	}
	return nil
}

// allow says why the sender of r may not start faults in the lane of l.
func (a *Agent) allow(r *http.Request, l *Lease) error {
	switch {
	case a.cfg.Allow == nil:
		return &token.Error{Cause: "no fault can be started here over the network: no drill keys are given"}
	case l.Lane == "":
		return errors.New("lane: say which, so that a drill token can be for it")
	}
	return a.cfg.Allow(r.Header.Get(token.Header), l.Lane)
}
