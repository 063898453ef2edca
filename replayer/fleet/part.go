package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
)

// A part is one replayer at work for a session, with the lease that lets it send.
//
//	open ─► reads ahead ─► lease ─► T0 ─► renew, send, renew, send ... ─► last result
//	                                        └─ results ─►
type part struct {
	s    *session
	o    *open
	off  offset
	part Part

	ctx    context.Context
	cancel context.CancelCauseFunc
	primed chan struct{} // enough is read ahead
	agreed chan struct{} // begun is known
	ended  chan struct{} // what the engine returned is in result and err
	result *replayer.Result
	err    error

	mu     sync.Mutex
	t0     time.Time // by the controller's clock
	begun  time.Time // T0 by ours
	closed bool
	skew   time.Duration // how far the agreed clock is from where T0 put it
}

func newPart(s *session, o *open, off offset) *part {
	p := &part{s: s, o: o, off: off, primed: make(chan struct{}), agreed: make(chan struct{}), ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(s.ctx)
	return p
}

// prepare starts the engine, and what keeps the lease once that is ready.
func (p *part) prepare() error {
	engine, run, err := p.s.Engine(Job{Spec: p.o.Spec, Owns: owns(p.o.Shards, p.o.Of), From: p.o.From, Agree: p.agree})
	if err != nil {
		p.cancel(err)
		return err
	}
	p.part = engine
	p.s.wg.Go(func() {
		defer close(p.ended)
		p.result, p.err = run(p.ctx)
	})
	late := time.NewTimer(openTime)
	defer late.Stop()
	select {
	case <-p.primed:
	case <-p.ended:
		return p.fail(p.err)
	case <-late.C:
		return p.fail(fmt.Errorf("the recording was not read ahead within %v", openTime))
	}
	if !p.o.T0.IsZero() {
		p.start(p.o.T0)
	}
	rev, err := p.create()
	if err != nil {
		return p.fail(err)
	}
	p.s.mu.Lock()
	p.s.parts[p.o.Part] = p
	t0 := p.s.t0
	p.s.mu.Unlock()
	if !t0.IsZero() {
		p.start(t0)
	}
	p.s.wg.Go(func() { p.keep(rev) })
	return nil
}

func (p *part) fail(err error) error {
	if err == nil {
		err = errors.New("it ended before it began")
	}
	p.cancel(err)
	<-p.ended
	return err
}

// agree is called by the engine once it has read ahead.
func (p *part) agree(ctx context.Context) (time.Time, error) {
	close(p.primed)
	select {
	case <-p.agreed:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.begun, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// start lets it begin at T0.
func (p *part) start(t0 time.Time) {
	begun := p.s.begin(t0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun.IsZero() {
		return
	}
	p.t0, p.begun = t0, begun
	close(p.agreed)
}

func (p *part) handBack() {
	p.mu.Lock()
	p.closed = true
	begun := !p.begun.IsZero()
	p.mu.Unlock()
	p.part.Close()
	if !begun {
		p.cancel(errors.New("the worker leaves"))
	}
}

func (p *part) key() string { return "part." + strconv.Itoa(p.o.Part) }

func (p *part) create() (rev uint64, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	rev, err = p.s.leases.Create(ctx, p.key(), encode(&lease{Worker: p.s.ID, Mark: mark{Place: p.o.From}}))
	if errors.Is(err, bus.ErrConflict) {
		return 0, errors.New("its lease is another's by now")
	}
	return rev, err
}

// keep renews the lease and sends results until the part is over, and all that it has is said.
func (p *part) keep(rev uint64) {
	defer func() {
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		delete(p.s.parts, p.o.Part)
	}()
	ctx, cancel := context.WithCancel(p.s.ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { p.watchClock(ctx) })
	wg.Go(func() { p.renewAll(ctx, rev) })
	p.report()
}

// watchClock follows how far our clock and the agreed one drift apart.
func (p *part) watchClock(ctx context.Context) {
	tick := time.NewTicker(max(clockEvery, 10*p.o.Results)) // as results do: seldom when there are many
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			off, err := p.s.measure(ctx, 4)
			if err != nil || off.rtt > 2*p.off.rtt+time.Millisecond {
				continue // says less than what is known; and the lease notices what matters
			}
			now := p.s.Clock.Now()
			p.mu.Lock()
			if !p.begun.IsZero() {
				theirs := now.Round(0).Add(off.by).Sub(p.t0)
				p.skew = theirs - now.Sub(p.begun)
			}
			p.mu.Unlock()
		}
	}
}
