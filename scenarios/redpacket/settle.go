package redpacket

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

const (
	settleEvery    = 100 * time.Millisecond
	settleAtOnce   = 32
	firstRetry     = 200 * time.Millisecond
	longestBackoff = 2 * time.Second
)

// A settler repeats what must not be left undone until it is done, with growing pauses. What it is given
// must be safe to repeat.
//
//	try: done ─► forgotten        pause 200ms, 400ms, ... 2s
//	   not done ─► pause ─► try
type settler struct {
	clock   clock.Clock
	timeout time.Duration // of one try

	mu struct {
		sync.Mutex
		jobs []*job
	}
	retries atomic.Int64
}

type job struct {
	try   func(ctx context.Context) (done bool)
	due   time.Time
	pause time.Duration
}

func newSettler(c clock.Clock, timeout time.Duration) *settler {
	return &settler{clock: c, timeout: timeout}
}

// later adds something that was tried once already.
func (s *settler) later(try func(ctx context.Context) (done bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.jobs = append(s.mu.jobs, &job{try: try, due: s.clock.Now().Add(firstRetry), pause: firstRetry})
}

// run tries what is due until ctx ends.
func (s *settler) run(ctx context.Context) {
	for s.clock.SleepUntil(ctx, s.clock.Now().Add(settleEvery)) == nil {
		due := s.takeDue()
		var wg sync.WaitGroup
		slots := make(chan struct{}, settleAtOnce)
		for _, j := range due {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				s.try(ctx, j)
			})
		}
		wg.Wait()
	}
}

func (s *settler) takeDue() (due []*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	rest := s.mu.jobs[:0]
	for _, j := range s.mu.jobs {
		if j.due.After(now) {
			rest = append(rest, j)
		} else {
			due = append(due, j)
		}
	}
	clear(s.mu.jobs[len(rest):])
	s.mu.jobs = rest
	return due
}

func (s *settler) try(ctx context.Context, j *job) {
	one, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	s.retries.Add(1)
	if ctx.Err() == nil && j.try(one) {
		return
	}
	j.pause = min(2*j.pause, longestBackoff)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.due = s.clock.Now().Add(j.pause)
	s.mu.jobs = append(s.mu.jobs, j)
}
