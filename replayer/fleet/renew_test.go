package fleet

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
)

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
