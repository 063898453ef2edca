package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
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

// hearAllBut is a word of all workers but the first n.
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
