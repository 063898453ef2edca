package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A sample is one contestant under one load.
type sample struct {
	load
	spent
	rss     int64
	others  float64 // cores that processes which are not ours took meanwhile
	dropped int64   // exchanges that the recording had no room for
}

// perRequest is CPU time of the whole process in microseconds.
func (s sample) perRequest() float64 { return s.each(s.total) }

func (s sample) each(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(s.requests)
}

func (s sample) clean() bool { return s.others <= dirty }

// errInvalid marks a sample whose numbers contradict each other: it says nothing and is taken again.
var errInvalid = errors.New("invalid")

// A place is which cores do what.
type place struct{ proxy, rest []int }

var twoCores = place{proxy: coreOfProxy, rest: coreOfRest}

// sample starts c, warms it up, measures it, and ends it. What comes out invalid or dirty is taken again up to
// three times, the dirty only while spare lasts, so that a busy machine costs patience and not the run.
// What is dirty to the end is returned, marked; what is invalid to the end is an error.
func (b *bench) sample(ctx context.Context, c contestant, conns int, at place, spare *time.Duration) (best sample, err error) {
	b.samples++
	for try := range 4 {
		began := time.Now()
		var s sample
		s, err = b.sampleOnce(ctx, c, conns, at)
		if try > 0 {
			*spare -= time.Since(began)
		}
		switch {
		case errors.Is(err, errInvalid):
			b.invalid++
			fmt.Printf("  again: %s, %d connections: %v\n", c.name, conns, err)
			continue // whatever is spare: there is no result without it
		case err != nil:
			return s, fmt.Errorf("%s, %d connections: %w", c.name, conns, err)
		case best.requests == 0 || s.others < best.others:
			best = s
		}
		if best.clean() || *spare <= 0 {
			break
		}
	}
	if best.requests == 0 {
		return best, fmt.Errorf("%s, %d connections: %w", c.name, conns, err)
	}
	if best.clean() {
		b.clean++
	}
	return best, nil
}

func (b *bench) sampleOnce(ctx context.Context, c contestant, conns int, at place) (s sample, err error) {
	first, err := b.backend.settled(ctx)
	if err != nil {
		return s, err
	}
	r, err := c.start(ctx, b, at.proxy)
	if err != nil {
		return s, err
	}
	_, err = b.wrk(ctx, at.rest, r.addr, conns, b.warm)
	if err == nil {
		s, err = b.measure(ctx, r, conns, at)
	}
	if err := errors.Join(err, b.end(r)); err != nil {
		return s, err
	}
	if r.books != nil {
		last, err := b.backend.settled(ctx)
		if err != nil {
			return s, err
		}
		// Each end of wrk cuts what is under way.
		if err := r.books(last-first, 2*int64(conns)+slack); err != nil {
			return s, fmt.Errorf("%w: %w", errInvalid, err)
		}
		s.dropped = dropped(r.stdout.String())
	}
	return s, nil
}

// end ends what was started.
func (b *bench) end(r *running) error {
	if r.release != nil {
		r.release()
	}
	if r.proc == nil {
		return nil
	}
	return b.stop(r.proc)
}

// slack is how many requests may be missing from a count for reasons of their own: a readiness question,
// one sent again.
const slack = 8

// measure loads what is running and says what it spent.
func (b *bench) measure(ctx context.Context, r *running, conns int, at place) (s sample, err error) {
	before, err := b.view(ctx, r)
	if err != nil {
		return s, err
	}
	if s.load, err = b.wrk(ctx, at.rest, r.addr, conns, b.plan.load); err != nil {
		return s, err
	}
	after, err := b.view(ctx, r)
	if err != nil {
		return s, err
	}
	if r.proc != nil {
		s.spent = after.proxy.since(before.proxy)
		if s.rss, err = rss(r.cmd.Process.Pid); err != nil {
			return s, err
		}
	}
	ours := s.total + s.cpu + (after.own - before.own) + after.backend.since(before.backend).total
	s.others = max(0, (after.busy-before.busy-ours).Seconds()/after.at.Sub(before.at).Seconds())
	if s.failed != "" {
		return s, fmt.Errorf("%w: %s", errInvalid, s.failed)
	}
	// Under way at the end of the warm-up and at the end: half of that is expected, an orphan that serves too
	// takes thousands.
	if d := after.handled - before.handled - s.requests; d < -slack || d > 2*int64(conns)+slack {
		return s, fmt.Errorf("%w: wrk counts %d requests, the backend %d", errInvalid, s.requests, after.handled-before.handled)
	}
	return s, nil
}

// A view is every counter that measure takes the difference of.
type view struct {
	at             time.Time
	handled        int64
	busy, own      time.Duration
	proxy, backend usage
}

func (b *bench) view(ctx context.Context, r *running) (v view, err error) {
	if v.handled, err = b.backend.settled(ctx); err != nil {
		return v, err
	}
	if v.backend, err = usageOf(b.backend.cmd.Process.Pid); err != nil {
		return v, err
	}
	if v.busy, err = busy(); err != nil {
		return v, err
	}
	if v.own, err = ownCPU(); err != nil {
		return v, err
	}
	v.at = time.Now()
	if r.proc != nil {
		v.proxy, err = usageOf(r.cmd.Process.Pid)
	}
	return v, err
}
