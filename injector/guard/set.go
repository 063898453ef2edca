package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// What a Set can fail of besides a guard that is wrong in itself.
var (
	ErrNoGuard = errors.New("no such guard")
	ErrTaken   = errors.New("a guard of this id is armed")
	ErrFull    = errors.New("too many guards")
)

const (
	maxArmed  = 64
	maxOver   = 256
	maxAsked  = 64               // series that are watched only because somebody asks
	forgotten = 30 * time.Second // after that without a question they are watched no more
)

// Config of a Set. Zero fields take the default named beside them.
type Config struct {
	Clock  clock.Clock   // nil means clock.System
	MaxTTL time.Duration // 0 means injector.MaxTTL
	// Allow is asked before a guard is armed over HTTP, as injector.Config.Allow.
	Allow func(text string, lane traffic.Color) error
	// Trip ends what names the guard, now, and returns its ids: Table.Trip. Required.
	Trip func(guard string) []string
}

// A Set holds the guards of one process. Run looks at them; without it none is ever ready.
type Set struct {
	cfg     Config
	watched atomic.Pointer[[]*series] // nil: nothing
	wake    chan struct{}             // somebody is to be looked at

	mu struct {
		sync.Mutex // held by whoever changes guards or watched
		guards     map[string]*armed
		asked      map[seriesKey]*question
		order      uint64
	}
}

type seriesKey struct {
	lane    traffic.Color
	service string
}

// NewSet returns an empty Set.
func NewSet(cfg Config) *Set {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.MaxTTL <= 0 {
		cfg.MaxTTL = injector.MaxTTL
	}
	s := &Set{cfg: cfg, wake: make(chan struct{}, 1)}
	s.mu.guards = make(map[string]*armed)
	s.mu.asked = make(map[seriesKey]*question)
	return s
}

// Run looks at the guards every 100 ms until ctx ends; while there are none it sleeps.
func (s *Set) Run(ctx context.Context) error {
	for {
		if s.idle() {
			select {
			case <-s.wake:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		next := s.cfg.Clock.Now().Add(Every)
		if err := s.cfg.Clock.SleepUntil(ctx, next); err != nil {
			return err
		}
		s.look()
	}
}

func (s *Set) idle() bool { return s.watched.Load() == nil }

func (s *Set) awake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will be
	}
}

// look holds every armed guard against what was seen.
func (s *Set) look() {
	for _, id := range s.judge() {
		s.cfg.Trip(id)
	}
}

// judge returns the guards that are armed no more. What names them is ended without s.mu, because whoever grants a
// lease asks Guarded under a lock of its own. Nothing slips through: the guard says no from before to after.
func (s *Set) judge() (over []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	for id, a := range s.mu.guards {
		if a.armed() && !a.look(now) {
			over = append(over, id)
		}
	}
	for key, q := range s.mu.asked {
		if now.Sub(q.last) > forgotten {
			delete(s.mu.asked, key)
		}
	}
	s.rewatch(now)
	return over
}

// Arm begins to watch. The id of a guard that tripped or is over may be used again; what was seen of its lane
// until now still counts.
func (s *Set) Arm(asked Guard) (Status, error) {
	g := asked.filled()
	if err := g.check(s.cfg.MaxTTL); err != nil {
		return Status{}, fmt.Errorf("arm guard: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.ID == "" {
		for n := 1; g.ID == ""; n++ {
			if id := "g" + strconv.Itoa(n); s.mu.guards[id] == nil {
				g.ID = id
			}
		}
	}
	old, live := s.mu.guards[g.ID], 0
	for _, a := range s.mu.guards {
		if a.armed() {
			live++
		}
	}
	switch {
	case old != nil && old.armed():
		return Status{}, fmt.Errorf("arm guard %s: %w", g.ID, ErrTaken)
	case live >= maxArmed:
		return Status{}, fmt.Errorf("arm guard %s: %w (%d)", g.ID, ErrFull, maxArmed)
	}
	now := s.cfg.Clock.Now()
	a := newArmed(g, s.mu.order, now)
	s.mu.order++
	a.lane = s.series(seriesKey{g.Lane, g.Service}, now)
	if g.Baseline == Same {
		a.baseline = s.series(seriesKey{"", g.Service}, now)
	}
	s.mu.guards[g.ID] = a
	s.forget()
	s.rewatch(now)
	a.look(now) // what an earlier watch of the lane has seen may do
	s.awake()
	return a.status(), nil
}

// series is the one that is watched, or a new one, which rewatch will publish. s.mu is held.
func (s *Set) series(key seriesKey, now time.Time) *series {
	if p := s.watched.Load(); p != nil {
		for _, w := range *p {
			if w.lane == key.lane && w.service == key.service {
				return w
			}
		}
	}
	for _, a := range s.mu.guards { // armed a moment ago, and not yet published
		for _, w := range []*series{a.lane, a.baseline} {
			if a.armed() && w != nil && w.lane == key.lane && w.service == key.service {
				return w
			}
		}
	}
	return newSeries(key.lane, key.service, now.UnixNano())
}

// rewatch publishes the series that somebody needs. s.mu is held. Those of a guard stay for a while after it: one
// that is armed again after its brake test is ready at once.
func (s *Set) rewatch(now time.Time) {
	var all []*series
	need := func(w *series) {
		if w != nil && !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	for _, a := range s.mu.guards {
		if a.armed() || now.Sub(a.ended) < forgotten {
			need(a.lane)
			need(a.baseline)
		}
	}
	for _, q := range s.mu.asked {
		need(q.series)
	}
	was := s.watched.Load()
	switch {
	case len(all) == 0:
		s.watched.Store(nil)
	case was == nil || !sameSeries(*was, all):
		s.watched.Store(&all)
	}
}

func sameSeries(a, b []*series) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(w *series) bool { return !slices.Contains(b, w) })
}

// forget drops the oldest guards that are over. s.mu is held.
func (s *Set) forget() {
	var over []*armed
	for _, a := range s.mu.guards {
		if !a.armed() {
			over = append(over, a)
		}
	}
	slices.SortFunc(over, byOrder)
	for _, a := range over[:max(0, len(over)-maxOver)] {
		delete(s.mu.guards, a.ID)
	}
}

// Guarded says why a lease cannot rely on the guard now: for injector.Config.Guarded.
func (s *Set) Guarded(id string) error {
	a, err := s.find(id)
	if err != nil {
		return err
	}
	now, st := s.cfg.Clock.Now(), a.status()
	switch {
	case st.State != Ready:
		return fmt.Errorf("%s is %s: %s", id, st.State, st.Why)
	case now.Sub(st.Evaluated) > time.Second:
		return fmt.Errorf("%s was last looked at %s ago", id, now.Sub(st.Evaluated).Round(time.Millisecond))
	}
	return nil
}

func (s *Set) find(id string) (*armed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mu.guards[id]
	if a == nil {
		return nil, fmt.Errorf("guard %q: %w", id, ErrNoGuard)
	}
	return a, nil
}
