package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/fleet"
	"github.com/redlane/redlane/traffic"
)

// work is all modelled workers, until the run is over.
func (m shape) work(ctx context.Context, url string) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var starts []int64
	var failed error
	template := m.template()
	before := cpu()
	for i := range m.workers {
		wg.Go(func() {
			b, err := bus.Connect(bus.Config{URL: url, Wait: 30 * time.Second})
			if err == nil {
				defer b.Close()
				// A clock that is wrong, by up to a second.
				wrong := time.Duration(chance.Stream(1, "clock", uint64(i)).Int64N(int64(2*time.Second))) - time.Second
				c := wrongClock{wrong}
				err = fleet.Work(ctx, fleet.WorkerConfig{
					Bus: b, ID: fmt.Sprintf("m%d", i), Clock: c, Once: true,
					Engine: func(j fleet.Job) (fleet.Part, func(context.Context) (*replayer.Result, error), error) {
						p := &part{shape: m, template: template, clock: c, agree: j.Agree, ended: make(chan struct{})}
						p.began = func(t time.Time) {
							mu.Lock()
							defer mu.Unlock()
							starts = append(starts, t.Add(-wrong).UnixNano())
						}
						return p, p.run, nil
					},
				})
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	wg.Wait()
	for _, s := range starts {
		fmt.Println("start", s)
	}
	fmt.Println("cpu", int64(cpu()-before))
	return failed
}

type wrongClock struct{ by time.Duration }

func (c wrongClock) Now() time.Time { return time.Now().Add(c.by) }

func (c wrongClock) SleepUntil(ctx context.Context, t time.Time) error {
	return clock.System.SleepUntil(ctx, t.Add(-c.by))
}

// template is what a worker finds in a second: latencies of a service with a long tail, one failure in a
// thousand.
func (m shape) template() *replayer.Result {
	r := chance.Stream(1, "latency", 0)
	each := m.rate / m.workers
	ok, bad := replayer.Cell{Lane: "red", Class: 2}, replayer.Cell{Lane: "red", Class: 5}
	res := &replayer.Result{To: "model", Lane: "red", Rate: "1x", LagLimit: 10 * time.Millisecond}
	for i := range each {
		c := &ok
		if i%1000 == 999 {
			c = &bad
			c.Errors.Status5xx++
		}
		lag := time.Duration(40+r.ExpFloat64()*30) * time.Microsecond
		latency := 400*time.Microsecond + time.Duration(r.ExpFloat64()*float64(2*time.Millisecond))
		c.Count++
		c.Lag.Record(lag)
		c.Sent.Record(latency)
		c.Due.Record(latency + lag)
		res.Pace.Record(lag)
	}
	res.Cells = []replayer.Cell{ok, bad}
	res.Statuses = map[int]uint64{200: ok.Count, 500: bad.Count}
	return res
}

// A part models a replayer.Part that keeps its schedule: it sends nothing, and finds the same in every
// second.
type part struct {
	shape
	template *replayer.Result
	clock    clock.Clock
	agree    func(context.Context) (time.Time, error)
	began    func(time.Time)
	ended    chan struct{}

	mu      sync.Mutex
	start   time.Time
	allowed replayer.Mark
	seconds int // in results
}

func (p *part) run(ctx context.Context) (*replayer.Result, error) {
	start, err := p.agree(ctx)
	if err != nil {
		return nil, err
	}
	p.began(start)
	p.mu.Lock()
	p.start = start
	p.mu.Unlock()
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
	_ = p.clock.SleepUntil(ctx, start.Add(p.length)) // an early end is no error
	return p.Take(), nil
}

func (p *part) Next(until time.Duration) (replayer.Mark, bool) {
	until = min(until, p.length)
	m := replayer.Mark{
		Place: uint64(until.Seconds() * float64(p.rate)), Count: uint64(until.Seconds() * float64(p.rate/p.workers)), Due: until, End: until == p.length,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return m, m.Place > p.allowed.Place
}

func (p *part) Allow(m replayer.Mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.End && !p.allowed.End {
		close(p.ended)
	}
	p.allowed = m
}

func (p *part) Allowed() replayer.Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allowed
}

func (p *part) Close() {}

// Take is all seconds that are over and in no result yet: usually one.
func (p *part) Take() *replayer.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := &replayer.Result{Ledger: traffic.Ledger{Stage: "replay"}}
	if p.start.IsZero() {
		return sum
	}
	for ; time.Duration(p.seconds+1)*time.Second <= min(p.clock.Now().Sub(p.start), p.length); p.seconds++ {
		one := *p.template
		one.Cells = append([]replayer.Cell(nil), one.Cells...)
		for i := range one.Cells {
			one.Cells[i].Second = p.seconds
		}
		n := uint64(p.rate / p.workers)
		one.Ledger = traffic.Ledger{Stage: "replay", Accepted: n, Passed: n}
		sum.Merge(&one) // a copy: the template is everybody's
	}
	return sum
}

func (p *part) Counts() replayer.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start.IsZero() {
		return replayer.Counts{}
	}
	d := min(max(p.clock.Now().Sub(p.start), 0), p.length)
	n := uint64(d.Seconds() * float64(p.rate/p.workers))
	return replayer.Counts{Released: n, Sent: n, Answered: n, Due: d, Last: d}
}
