package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/bus"
)

// A session is one run as one worker sees it.
type session struct {
	*worker
	run    string
	ctx    context.Context // of everything it starts
	leases *bus.KV
	done   chan string // the controller's verdict
	wg     sync.WaitGroup

	mu    sync.Mutex
	beat  time.Time // last heard of the controller
	off   offset    // of its clock, before the first part
	t0    time.Time // agreed, by the controller's clock
	ours  time.Time // the same by ours, with a monotonic part
	parts map[int]*part
	err   error // why the run is invalid, as far as this worker can tell
}

func (s *session) wait() { s.wg.Wait() }

func (s *session) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = s.Clock.Now()
}

func (s *session) quiet() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Clock.Now().Sub(s.beat)
}

// begun reports whether T0 is agreed.
func (s *session) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.t0.IsZero()
}

func (s *session) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parts) > 0 {
		return nil // they have something to say first
	}
	return s.err
}

func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts) == 0
}

func (s *session) list() (all []*part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		all = append(all, p)
	}
	return all
}

func (s *session) cancelAll(cause error) {
	for _, p := range s.list() {
		p.cancel(cause)
	}
}

// handBack lets others go on with all parts, and returns how many those are.
func (s *session) handBack() int {
	all := s.list()
	for _, p := range all {
		p.handBack()
	}
	return len(all)
}

// ask sends a message to the controller and waits for its answer, which says that it lives, too.
func (s *session) ask(ctx context.Context, what string, wait time.Duration, message []byte, a *answer) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	data, err := s.Bus.Request(ctx, subject(s.run, what), message)
	if err != nil {
		return err
	}
	s.heard()
	return decode(data, a)
}

func (s *session) onBeat(m *bus.Message) {
	var b beat
	if decode(m.Data, &b) != nil {
		return // of another version: the controller would not have let us in
	}
	s.heard()
	if b.Abort {
		s.cancelAll(errors.New(b.Reason))
	}
}

func (s *session) onOrder(m *bus.Message) {
	reply := func(a answer) {
		if err := m.Answer(encode(&a)); err != nil {
			s.Log(fmt.Sprintf("run %s: %v", s.run, err))
		}
	}
	var o order
	if err := decode(m.Data, &o); err != nil {
		reply(answer{Refused: err.Error()})
		return
	}
	switch {
	case o.Open != nil:
		s.wg.Go(func() {
			r, err := s.open(o.Open)
			if err != nil {
				reply(answer{Refused: err.Error()})
				return
			}
			reply(answer{Ready: r})
		})
	case o.Start != nil:
		s.begin(o.Start.T0)
		for _, p := range s.list() {
			p.start(o.Start.T0)
		}
		reply(answer{})
	case o.Over != nil:
		reply(answer{})
		select {
		case s.done <- o.Over.Verdict:
		default: // said before
		}
	}
}

// measure asks the controller what time it is.
func (s *session) measure(ctx context.Context, n int) (offset, error) {
	return measure(ctx, s.Clock, n, func(ctx context.Context) (t time.Time, err error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		data, err := s.Bus.Request(ctx, subject(s.run, "clock"), nil)
		if err == nil {
			s.heard()
			err = decode(data, &t)
		}
		return t, err
	})
}

// begin agrees on T0, once, and returns when it is by our clock, with a monotonic part: whoever sets a clock later does
// not move it, nor what a worker takes over from another.
func (s *session) begin(t0 time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.t0.IsZero() {
		now := s.Clock.Now()
		s.t0, s.ours = t0, now.Add(t0.Sub(now.Round(0).Add(s.off.by)))
	}
	return s.ours
}

// offset is measured for the first part; others begin the sooner.
func (s *session) offset() (offset, error) {
	s.mu.Lock()
	off := s.off
	s.mu.Unlock()
	if off.rtt > 0 {
		return off, nil
	}
	off, err := s.measure(s.ctx, 16)
	if err != nil {
		return offset{}, fmt.Errorf("measure the clock: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
	return off, nil
}

// open makes a part ready: its recording is open and read ahead.
func (s *session) open(o *open) (*ready, error) {
	off, err := s.offset()
	if err != nil {
		return nil, err
	}
	p := newPart(s, o, off)
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return &ready{Offset: off.by, RTT: off.rtt}, nil
}
