package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
)

// A sharedClock is a handClock for many goroutines.
type sharedClock struct {
	mu    sync.Mutex
	now   time.Time
	slept func() // called after each sleep
}

func (c *sharedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *sharedClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *sharedClock) SleepUntil(ctx context.Context, t time.Time) error {
	c.mu.Lock()
	c.now = t
	c.mu.Unlock()
	if c.slept != nil {
		c.slept()
	}
	return ctx.Err()
}

// A desk is a controller without its watch: the test says what it hears, and when it looks.
type desk struct {
	*controller
	t     *testing.T
	clock *sharedClock
	logMu sync.Mutex
	lines []string
}

func newDesk(t *testing.T, workers int) *desk {
	d := &desk{t: t, clock: &sharedClock{now: time.Unix(1e9, 0)}}
	ctx, cancel := context.WithCancel(t.Context())
	d.controller = &controller{
		Config: Config{Bus: dial(t, startBus(t).URL()), Run: "test", Workers: workers, Shards: 4 * workers, Clock: d.clock, Log: func(line string) {
			d.logMu.Lock()
			defer d.logMu.Unlock()
			d.lines = append(d.lines, line)
		}},
		members: make(map[string]*member), parts: make(map[int]*assigned), changed: make(chan struct{}, 1), ctx: ctx, t0: d.clock.Now(),
	}
	t.Cleanup(func() { cancel(); d.wg.Wait() })
	var err error
	d.leases, err = d.Bus.KV(ctx, leaseBucket(d.Run), leaseConfig)
	require.NoError(t, err)
	for i := range workers {
		require.Empty(t, d.admit(join{Worker: fmt.Sprint("w", i), Name: fmt.Sprint("w", i), Loops: 1}))
		p := d.assign(d.order[i], []int{4 * i, 4*i + 1, 4*i + 2, 4*i + 3}, 0)
		p.state = running
	}
	return d
}

// renewed is what a worker has written down, and the controller has not heard yet.
func (d *desk) renewed(id int, place uint64) bus.Entry {
	p := d.parts[id]
	value := encode(&lease{Worker: p.worker.Worker, Mark: mark{Place: place, Count: 1}})
	rev, err := d.leases.Put(d.ctx, p.key(), value)
	require.NoError(d.t, err)
	return bus.Entry{Key: p.key(), Value: value, Revision: rev}
}

// look is expire, and all that follows at once.
func (d *desk) look() {
	d.expire(0)
	for d.t.Context().Err() == nil {
		d.mu.Lock()
		ending := 0
		for _, p := range d.parts {
			if p.ending {
				ending++
			}
		}
		d.mu.Unlock()
		if ending == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// hear is a word of all workers but the first n.
func (d *desk) hearAllBut(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := n; id < d.Workers; id++ {
		d.parts[id].seen = d.clock.Now()
	}
}

func (d *desk) lost() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.parts {
		if p.state == lost {
			n++
		}
	}
	return n
}

func (d *desk) said(text string) (n int) {
	d.logMu.Lock()
	defer d.logMu.Unlock()
	for _, line := range d.lines {
		n += strings.Count(line, text)
	}
	return n
}

// A worker that has renewed its lease lives, also when its controller has not heard of it yet.
func TestLeaseHeardLate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	first := d.renewed(0, 5)
	d.onLease(first)
	second := d.renewed(0, 9)
	for range 4 { // and is not asked for with every look
		d.hearAllBut(1)
		d.clock.pass(leaseTime + 1)
		d.hearAllBut(1)
		d.look()
		require.Zero(t, d.lost())
		require.Equal(t, d.clock.Now(), d.parts[0].seen)
	}
	d.onLease(second)
	require.EqualValues(t, 9, d.parts[0].lease.Mark.Place)
	d.clock.pass(leaseTime + 1)
	d.hearAllBut(1)
	d.look()
	require.Equal(t, 1, d.lost())
	require.EqualValues(t, 9, d.parts[3].from)
}

// The controller has ended a lease, and the answer was lost: it hears of it as everybody does.
func TestEndOfALeaseIsHeard(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	d.onLease(d.renewed(0, 5))
	p := d.parts[0]
	l := p.lease
	l.Lost = true
	rev, err := d.leases.Update(d.ctx, p.key(), encode(&l), p.rev)
	require.NoError(t, err)
	for range 2 {
		d.onLease(bus.Entry{Key: p.key(), Value: encode(&l), Revision: rev})
		require.Equal(t, lost, p.state)
		require.Len(t, d.taken, 1)
		require.EqualValues(t, 5, d.parts[3].from)
	}
}

// Some are dead after the time of a lease. Where more are silent than can be dead all at once, nobody takes over
// before holdTime; those that are heard of again go on as if nothing had been.
func TestSilenceOfMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48) // 6 at once are plausible
	d.clock.pass(leaseTime + 1)
	d.hearAllBut(7)
	d.look()
	d.look()
	require.Zero(t, d.lost())
	require.Equal(t, 1, d.said("7 of 48 workers have not been heard of for 1s"))
	d.hearAllBut(2)
	d.look()
	require.Equal(t, 2, d.lost())

	d = newDesk(t, 48)
	d.clock.pass(holdTime + 1)
	d.hearAllBut(7)
	d.look()
	require.Equal(t, 7, d.lost(), "a rack is dead, and not the bus")
	require.Empty(t, d.abort)
}

// When most are silent for long the run ends, and nothing is taken over.
func TestSilenceOfMostEndsTheRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48)
	d.clock.pass(holdTime + 1)
	d.hearAllBut(25)
	d.look()
	require.Contains(t, d.abort, "25 of 48 workers have not been heard of for 3s, all at once")
	require.Zero(t, d.lost())
	require.Len(t, d.parts, 48)

	d.clock.pass(leaseTime) // their last results may still be on their way
	d.look()
	require.Zero(t, d.lost())
	d.clock.pass(stopTime)
	d.hearAllBut(25)
	d.look()
	require.Equal(t, 25, d.lost())
	require.Empty(t, d.taken)
	require.Len(t, d.parts, 48)
	d.wg.Wait()
	require.Len(t, d.invalid, 1)
}

// Takeovers must not breed takeovers: where many are dead, the parts do not become more.
func TestHeirsOfMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 48)
	for id := range 10 {
		d.mu.Lock()
		before := len(d.parts)
		d.loseLocked(d.parts[id])
		made := len(d.parts) - before
		d.mu.Unlock()
		if id < 6 {
			require.Equal(t, heirs, made)
		} else {
			require.Equal(t, 1, made)
		}
	}
}

// Whoever merges results hears leases meanwhile.
func TestLeasesDoNotWaitForMerging(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 2)
	d.merging.Lock()
	defer d.merging.Unlock()
	d.onLease(d.renewed(0, 5))
	require.EqualValues(t, 5, d.parts[0].lease.Mark.Place)
	d.clock.pass(leaseTime + 1)
	d.look()
	require.Equal(t, 2, d.lost())
}

// A result is taken once, and what is repeated is not taken apart again.
func TestResultRepeated(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 2)
	r := someResult(someFound())
	r.Worker, r.Part, r.Number = "w1", 1, 1
	damaged := *r
	damaged.Found = r.Found[:5]
	require.Equal(t, "decode result: not the result of a replay", d.take(&damaged))
	require.Empty(t, d.take(r))
	require.Empty(t, d.take(r))
	require.Empty(t, d.take(&damaged))
	r.Number = 3
	require.Equal(t, "result 3 comes after 1", d.take(r))
	r.Worker = "w0"
	require.Equal(t, "the part is not this worker's", d.take(r))
	require.EqualValues(t, 3, d.sum.all().Ledger.Accepted)
}

// A controller that has much to do, and says that it lives, is waited for; one that is silent is not.
func TestResultsWait(t *testing.T) {
	t.Parallel()
	b := dial(t, startBus(t).URL())
	f := func(lives bool) (taken bool, sleeps int) {
		c := &sharedClock{now: time.Unix(1e9, 0)}
		s := &session{worker: &worker{WorkerConfig{Bus: b, ID: "w", Clock: c, Log: func(string) {}}}, run: fmt.Sprint(lives), ctx: t.Context()}
		p := newPart(s, &open{Part: 3}, offset{})
		defer p.cancel(nil)
		p.part = new(replayer.Part)
		s.heard()
		stop := func() {}
		c.slept = func() {
			if sleeps++; lives {
				s.heard()
			}
			if sleeps == 100 { // 25 seconds later
				var err error
				stop, err = b.Subscribe(subject(s.run, "result"), func(m *bus.Message) {
					var r result
					if decode(m.Data, &r) == nil && r.Part == 3 && r.Number == 7 {
						_ = m.Answer(encode(new(answer)))
					}
				})
				require.NoError(t, err)
			}
		}
		taken = p.deliver(&result{Number: 7}, someFound())
		stop()
		return taken, sleeps
	}
	taken, sleeps := f(true)
	require.True(t, taken)
	require.Equal(t, 100, sleeps)
	taken, sleeps = f(false)
	require.False(t, taken)
	require.Equal(t, int(stopTime/renewEvery)+1, sleeps)
}

// A controller that is late gets fewer results, but gets some.
func TestPauseBetweenResults(t *testing.T) {
	t.Parallel()
	f := func(took, want time.Duration) {
		t.Helper()
		require.Equal(t, want, pause(time.Second, took))
	}
	f(0, time.Second)
	f(200*time.Millisecond, time.Second)
	f(500*time.Millisecond, 2*time.Second)
	f(time.Minute, 5*time.Second)
}

// Any number of workers renews evenly over time.
func TestPhasesAreEven(t *testing.T) {
	t.Parallel()
	const n, slots = 1000, 25
	var count [slots]int
	for part := range n {
		at := phase(part)
		require.GreaterOrEqual(t, at, time.Duration(0))
		require.Less(t, at, renewEvery)
		count[at*slots/renewEvery]++
	}
	for _, c := range count {
		require.InDelta(t, n/slots, c, 3)
	}
}

// Before T0, when nothing may be sent, a lease is written down once and not again; and what a worker takes over
// begins when the rest of it did.
func TestRenewalsBeginWithT0(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 1)
	var asked atomic.Int32
	stop, err := d.Bus.Subscribe(subject(d.Run, "clock"), func(m *bus.Message) {
		asked.Add(1)
		d.onClock(m)
	})
	require.NoError(t, err)
	defer stop()
	written := make(chan lease, 1000)
	stop, err = d.leases.Watch(t.Context(), "part.0", func(e bus.Entry) {
		var l lease
		if decode(e.Value, &l) == nil {
			written <- l
		}
	})
	require.NoError(t, err)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{run: d.Run, ctx: ctx, leases: d.leases, parts: make(map[int]*part), worker: &worker{WorkerConfig{
		Bus: d.Bus, ID: "w0", Clock: clock.System, Log: func(string) {}, Engine: engine(serve(t).to(), made{n: 10, sessions: 1, gap: time.Hour}),
	}}}
	defer s.wait()
	defer cancel()
	s.heard()
	_, err = s.open(&open{Part: 0, Shards: []int{0}, Of: 2, Results: time.Second})
	require.NoError(t, err)
	require.Zero(t, (<-written).Renewed)
	time.Sleep(3 * renewEvery)
	require.Empty(t, written)
	p := s.parts[0]
	p.start(d.clock.Now())
	require.Eventually(t, func() bool {
		s.heard()
		return len(written) > 0
	}, 30*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, (<-written).Renewed)

	measured := asked.Load()
	_, err = s.open(&open{Part: 1, Shards: []int{1}, Of: 2, From: 1, T0: d.clock.Now(), Results: time.Second})
	require.NoError(t, err)
	require.Less(t, asked.Load(), measured+16, "the offset is known")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, p.begun, s.parts[1].begun)
}

// However many join at a time, they are called once in a while.
func TestCallsAreFew(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 1)
	d.Workers = 1000
	var mu sync.Mutex
	calls := 0
	stop, err := d.Bus.Subscribe(callSubject, func(*bus.Message) {
		mu.Lock()
		defer mu.Unlock()
		calls++
	})
	require.NoError(t, err)
	begin := time.Now()
	d.Wait = 500 * time.Millisecond
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		for range 300 {
			d.poke()
			time.Sleep(time.Millisecond)
		}
	}()
	require.ErrorContains(t, d.gather(t.Context()), "1 of 1000 workers joined")
	<-joined
	stop()
	require.LessOrEqual(t, calls, int(time.Since(begin)/beatEvery)+1)
}
