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
	var failed error // of those that are to live
	whole, quarter := m.templates(1), m.templates(4)
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
						p := newPart(m, j, c, whole, quarter)
						p.began = func(t time.Time) {
							if j.From > 0 {
								return // taken over
							}
							mu.Lock()
							starts = append(starts, t.Add(-wrong).UnixNano())
							mu.Unlock()
							if i < m.die {
								wg.Go(func() {
									_ = c.SleepUntil(ctx, t.Add(m.length/2+time.Duration(i)*dieEvery)) // or at once, at an early end
									b.Close()
								})
							}
						}
						return p, p.run, nil
					},
				})
			}
			if err != nil && i >= m.die {
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

// fifths are in a second. Results come at any time, so most have parts of two seconds.
const fifths = 5

// templates are what a worker finds in so many fifths of a second.
type templates [fifths + 1]*replayer.Result

// templates of a worker, or of one that has a part of another's work.
func (m shape) templates(of int) (t templates) {
	for n := 1; n <= fifths; n++ {
		t[n] = template(max(1, m.rate/m.workers/of*n/fifths))
	}
	return t
}

// template is what one finds in so many requests: latencies of a service with a long tail, one failure in a thousand.
// It is put into bytes once, so that encoding it, which workers of a real fleet do on machines of their own, is
// copying here.
func template(each int) *replayer.Result {
	r := chance.Stream(1, "latency", 0)
	ok, bad := replayer.Cell{Lane: "red", Status: 200, Class: 2}, replayer.Cell{Lane: "red", Status: 500, Class: 5}
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
	data, err := res.MarshalBinary()
	if err == nil {
		res = new(replayer.Result)
		err = res.UnmarshalBinary(data)
	}
	if err != nil {
		panic(fmt.Sprintf("BUG: template: %v", err))
	}
	res.Total = replayer.Stats{} // is not sent
	return res
}

// dieEvery is between two deaths.
const dieEvery = 100 * time.Millisecond

// sessions of the modelled recording: one exchange each, in turn.
const sessions = 1 << 14

// A part models a replayer.Part that keeps its schedule: it sends nothing, and finds the same in every
// second. Its books are exact.
type part struct {
	shape
	templates
	clock clock.Clock
	agree func(context.Context) (time.Time, error)
	began func(time.Time)
	ended chan struct{}
	from  uint64
	own   []uint16 // how many of the first sessions are its own

	mu      sync.Mutex
	start   time.Time
	allowed replayer.Mark
	taken   int // fifths in results
}

func newPart(m shape, j fleet.Job, c clock.Clock, whole, quarter templates) *part {
	p := &part{shape: m, templates: whole, clock: c, agree: j.Agree, ended: make(chan struct{}), from: j.From, own: make([]uint16, sessions+1)}
	for i := range sessions {
		p.own[i+1] = p.own[i]
		if j.Owns(uint64(i)) {
			p.own[i+1]++
		}
	}
	if int(p.own[sessions])*2 < sessions/m.workers {
		p.templates = quarter
	}
	p.taken = int(j.From * fifths / uint64(m.rate))
	return p
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

// before is how many exchanges of the part are before a place.
func (p *part) before(place uint64) uint64 {
	count := func(place uint64) uint64 {
		return place/sessions*uint64(p.own[sessions]) + uint64(p.own[place%sessions])
	}
	return count(max(place, p.from)) - count(p.from)
}

func (p *part) place(due time.Duration) uint64 {
	return uint64(due) * uint64(p.rate) / uint64(time.Second)
}

func (p *part) Next(until time.Duration) (replayer.Mark, bool) {
	until = min(max(until, 0), p.length)
	place := p.place(until)
	m := replayer.Mark{Place: place, Count: p.before(place), Due: until, End: until == p.length}
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

// Take is all fifths that are over and in no result yet. What a worker that dies has of one is lost.
func (p *part) Take() *replayer.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, to := p.taken, int(p.dueLocked()*fifths/time.Second)
	if p.start.IsZero() || from >= to {
		return &replayer.Result{Ledger: traffic.Ledger{Stage: "replay"}}
	}
	p.taken = to
	res := *p.templates[min(to-from, fifths)]
	res.Cells = nil
	for at := from; at < to; {
		second := at / fifths
		n := min(to, (second+1)*fifths) - at
		for _, c := range p.templates[n].Cells {
			c.Second = second
			res.Cells = append(res.Cells, c)
		}
		at += n
	}
	accepted := p.before(p.fifth(to)) - p.before(p.fifth(from))
	res.Ledger = traffic.Ledger{Stage: "replay", Accepted: accepted, Passed: accepted}
	return &res
}

// fifth is the place where one begins.
func (p *part) fifth(n int) uint64 { return uint64(n) * uint64(p.rate) / fifths }

// dueLocked is how far it has come: nothing is sent that is not allowed.
func (p *part) dueLocked() time.Duration {
	return min(max(p.clock.Now().Sub(p.start), 0), p.allowed.Due)
}

func (p *part) Counts() replayer.Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start.IsZero() {
		return replayer.Counts{}
	}
	d := p.dueLocked()
	n := p.before(p.place(d))
	return replayer.Counts{Released: n, Sent: n, Answered: n, Due: d, Last: d}
}
