package guard

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// A Trip is what a guard did that was tripped by hand: its brake test.
type Trip struct {
	Guard Status   `json:"guard"`
	Ended []string `json:"ended"` // leases
	Took  int64    `json:"took_us"`
}

// Trip trips a guard that is armed, as if its limits were broken.
func (s *Set) Trip(id string) (Trip, error) {
	began := s.cfg.Clock.Now()
	st, err := s.end(id, Tripped, "tripped by hand")
	if err != nil {
		return Trip{}, fmt.Errorf("trip %w", err)
	}
	ended := s.cfg.Trip(id)
	return Trip{st, ended, s.cfg.Clock.Now().Sub(began).Microseconds()}, nil
}

// Remove ends a guard, and the leases that name it: a fault without its guard is not offered. To remove one that is
// over is no error.
func (s *Set) Remove(id string) (Status, error) {
	st, err := s.end(id, Over, "removed")
	if err != nil {
		return Status{}, fmt.Errorf("remove %w", err)
	}
	s.cfg.Trip(id)
	return st, nil
}

func (s *Set) end(id, state, why string) (Status, error) {
	a, err := s.find(id)
	if err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.end(s.cfg.Clock.Now(), state, why)
	return a.status(), nil
}

// Status returns one guard.
func (s *Set) Status(id string) (Status, error) {
	a, err := s.find(id)
	if err != nil {
		return Status{}, err
	}
	return a.status(), nil
}

// Wait returns when the guard is armed no more, or ctx ends, with what it is then.
func (s *Set) Wait(ctx context.Context, id string) (Status, error) {
	a, err := s.find(id)
	if err != nil {
		return Status{}, err
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
	return a.status(), nil
}

// List returns all guards, oldest first.
func (s *Set) List() []Status {
	s.mu.Lock()
	all := slices.SortedFunc(maps.Values(s.mu.guards), byOrder)
	s.mu.Unlock()
	list := make([]Status, len(all))
	for i, a := range all {
		list[i] = a.status()
	}
	return list
}
