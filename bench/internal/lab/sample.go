package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Sample is one contestant under one load.
type Sample struct {
	load
	Spent
	rss     int64
	others  float64 // cores that processes which are not ours took meanwhile
	dropped int64   // exchanges that the recording had no room for
}

// PerRequest is CPU time of the whole process in microseconds.
func (s Sample) PerRequest() float64 { return s.Each(s.Total) }

// Each is d by request, in microseconds.
func (s Sample) Each(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(s.Requests)
}

// dirty is how much of a core other processes may take during a sample. At a whole core CPU per request is
// 10 to 18 % off, so that this much is lost in the noise.
const dirty = 0.15

// Clean says whether others left the sample alone.
func (s Sample) Clean() bool { return s.others <= dirty }

// errInvalid marks a sample whose numbers contradict each other: it says nothing and is taken again.
var errInvalid = errors.New("invalid")

// A Place is which cores do what.
type Place struct{ Proxy, Rest []int }

var TwoCores = Place{Proxy: CoreOfProxy, Rest: CoreOfRest}

// sample starts c, warms it up, measures it, and ends it. What comes out invalid or dirty is taken again up to
// three times, the dirty only while spare lasts, so that a busy machine costs patience and not the run.
// What is dirty to the end is returned, marked; what is invalid to the end is an error.
func (b *Lab) sample(ctx context.Context, c Contestant, conns int, at Place, spare *time.Duration) (best Sample, err error) {
	b.samples++
	for try := range 4 {
		began := time.Now()
		var s Sample
		s, err = b.sampleOnce(ctx, c, conns, at)
		if try > 0 {
			*spare -= time.Since(began)
		}
		switch {
		case errors.Is(err, errInvalid):
			b.invalid++
			fmt.Printf("  again: %s, %d connections: %v\n", c.Name, conns, err)
			continue // whatever is spare: there is no result without it
		case err != nil:
			return s, fmt.Errorf("%s, %d connections: %w", c.Name, conns, err)
		case best.Requests == 0 || s.others < best.others:
			best = s
		}
		if best.Clean() || *spare <= 0 {
			break
		}
	}
	if best.Requests == 0 {
		return best, fmt.Errorf("%s, %d connections: %w", c.Name, conns, err)
	}
	if best.Clean() {
		b.clean++
	}
	return best, nil
}

func (b *Lab) sampleOnce(ctx context.Context, c Contestant, conns int, at Place) (s Sample, err error) {
	first, err := b.Backend.Settled(ctx)
	if err != nil {
		return s, err
	}
	r, err := c.Start(ctx, b, at.Proxy)
	if err != nil {
		return s, err
	}
	_, err = b.Wrk(ctx, at.Rest, r.Addr, conns, b.Warm)
	if err == nil {
		s, err = b.measure(ctx, r, conns, at)
	}
	if err := errors.Join(err, b.end(r)); err != nil {
		return s, err
	}
	if r.books != nil {
		last, err := b.Backend.Settled(ctx)
		if err != nil {
			return s, err
		}
		// Each end of wrk cuts what is under way.
		if err := r.books(last-first, 2*int64(conns)+slack); err != nil {
			return s, fmt.Errorf("%w: %w", errInvalid, err)
		}
		s.dropped = dropped(r.Stdout.String())
	}
	return s, nil
}

// end ends what was started.
func (b *Lab) end(r *Running) error {
	if r.Release != nil {
		r.Release()
	}
	if r.Proc == nil {
		return nil
	}
	return b.Stop(r.Proc)
}

// slack is how many requests may be missing from a count for reasons of their own: a readiness question,
// one sent again.
const slack = 8

// measure loads what is running and says what it spent.
func (b *Lab) measure(ctx context.Context, r *Running, conns int, at Place) (s Sample, err error) {
	before, err := b.view(ctx, r)
	if err != nil {
		return s, err
	}
	if s.load, err = b.Wrk(ctx, at.Rest, r.Addr, conns, b.Config.Load); err != nil {
		return s, err
	}
	after, err := b.view(ctx, r)
	if err != nil {
		return s, err
	}
	if r.Proc != nil {
		s.Spent = after.proxy.Since(before.proxy)
		if s.rss, err = RSS(r.Cmd.Process.Pid); err != nil {
			return s, err
		}
	}
	ours := s.Total + s.cpu + (after.own - before.own) + after.backend.Since(before.backend).Total
	s.others = max(0, (after.Busy-before.Busy-ours).Seconds()/after.at.Sub(before.at).Seconds())
	if s.failed != "" {
		return s, fmt.Errorf("%w: %s", errInvalid, s.failed)
	}
	// Under way at the end of the warm-up and at the end: half of that is expected, an orphan that serves too
	// takes thousands.
	if d := after.Handled - before.Handled - s.Requests; d < -slack || d > 2*int64(conns)+slack {
		return s, fmt.Errorf("%w: wrk counts %d requests, the backend %d", errInvalid, s.Requests, after.Handled-before.Handled)
	}
	return s, nil
}

// A view is every counter that measure takes the difference of.
type view struct {
	at             time.Time
	Handled        int64
	Busy, own      time.Duration
	proxy, backend Usage
}

func (b *Lab) view(ctx context.Context, r *Running) (v view, err error) {
	if v.Handled, err = b.Backend.Settled(ctx); err != nil {
		return v, err
	}
	if v.backend, err = UsageOf(b.Backend.Cmd.Process.Pid); err != nil {
		return v, err
	}
	if v.Busy, err = Busy(); err != nil {
		return v, err
	}
	if v.own, err = OwnCPU(); err != nil {
		return v, err
	}
	v.at = time.Now()
	if r.Proc != nil {
		v.proxy, err = UsageOf(r.Cmd.Process.Pid)
	}
	return v, err
}

// Trust says how good the samples were that everything rests on.
func (b *Lab) Trust() string {
	return fmt.Sprintf("samples: %d of %d clean, %d taken again because they were invalid; %s", b.clean, b.samples, b.invalid, time.Since(b.began).Round(time.Second))
}
