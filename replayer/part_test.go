package replayer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// keep allows a part what is due by now, and a little more, until stop says so.
func keep(ctx context.Context, p *Part, start time.Time, lead time.Duration, stop func(Mark) bool) {
	for ctx.Err() == nil {
		if m, ok := p.Next(time.Since(start) + lead); ok {
			if stop(m) {
				return
			}
			p.Allow(m)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func never100(Mark) bool { return false }

// add puts what parts found together; each must balance by itself.
func add(t *testing.T, sum *Result, parts ...*Result) {
	for _, r := range parts {
		require.NoError(t, r.Ledger.Balance())
		sum.Merge(r)
	}
}

func TestPartsAddUpToTheWholeSchedule(t *testing.T) {
	t.Parallel()
	const n, parts = 400, 4
	tt := serve(t, nil)
	list := steady(n, 40, time.Millisecond)
	list[100].Request.Method = nil // cannot be sent, and has its place all the same
	start := time.Now().Add(300 * time.Millisecond)
	var sum Result
	var mu sync.Mutex
	var marks []Mark
	var wg sync.WaitGroup
	for i := range uint64(parts) {
		wg.Go(func() {
			p := &Part{Owns: func(session uint64) bool { return session%parts == i }}
			cfg := Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Seed: 7, Rate: conf.Rate{PerSecond: 1000}, Start: start, Part: p, LagLimit: time.Hour}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				keep(ctx, p, start, 100*time.Millisecond, never100)
			}()
			var taken []*Result
			wait := make(chan struct{})
			go func() {
				defer close(wait)
				for range 20 {
					time.Sleep(20 * time.Millisecond)
					taken = append(taken, p.Take())
				}
			}()
			res, err := Run(ctx, cfg, &memorySource{list: list})
			cancel()
			<-done
			<-wait
			taken = append(taken, p.Take()) // after the run: nothing
			mu.Lock()
			defer mu.Unlock()
			require.NoError(t, err)
			require.False(t, res.Interrupted)
			require.Zero(t, taken[len(taken)-1].Ledger.Accepted)
			marks = append(marks, p.Allowed())
			require.EqualValues(t, n, p.Allowed().Place)
			require.True(t, p.Allowed().End)
			add(t, &sum, append(taken, res)...)
			require.EqualValues(t, p.Counts().Sent, p.Counts().Answered)
		})
	}
	wg.Wait()
	require.EqualValues(t, n, sum.Ledger.Accepted)
	require.EqualValues(t, n-1, sum.Ledger.Passed)
	require.EqualValues(t, 1, sum.Ledger.Dropped["no-request"])
	requireConsistent(t, &sum)
	var counted uint64
	for _, m := range marks {
		counted += m.Count
	}
	require.EqualValues(t, n, counted)
	requireOnce(t, tt, n-1)
	for _, a := range tt.arrivals() { // at its global place, whoever sent it
		var session, seq int
		_, err := fmt.Sscan(a.session+" "+a.seq, &session, &seq)
		require.NoError(t, err)
		place := seq*40 + session - 1
		require.False(t, a.at.Before(start.Add(time.Duration(place)*time.Millisecond)), "place %d came early", place)
	}
}

// requireOnce asserts that n different requests came, each once.
func requireOnce(t *testing.T, tt *testTarget, n int) {
	t.Helper()
	seen := make(map[string]int)
	for _, a := range tt.arrivals() {
		seen[a.id]++
		require.Equal(t, 1, seen[a.id], "session %s, request %s", a.session, a.seq)
	}
	require.Len(t, seen, n)
}

// One stops for good at a mark, another goes on from there: nothing is sent twice, nothing is missing.
func TestAnotherGoesOnFromTheMark(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(p *Part, cancel func()){
		"handed back": func(p *Part, _ func()) { p.Close() },
		"interrupted": func(_ *Part, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 300
			tt := serve(t, nil)
			list := steady(n, 10, time.Millisecond)
			start := time.Now().Add(100 * time.Millisecond)
			cfg := Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Start: start, LagLimit: time.Hour}
			p := new(Part)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go keep(ctx, p, start, 50*time.Millisecond, func(m Mark) bool {
				if m.Due < 150*time.Millisecond {
					return false
				}
				stop(p, cancel)
				return true
			})
			cfg.Part = p
			first, err := Run(ctx, cfg, &memorySource{list: list})
			require.NoError(t, err)
			m := p.Allowed()
			require.Equal(t, first.Ledger.Accepted, m.Count)
			require.NotZero(t, first.Ledger.Passed)
			require.Less(t, m.Place, uint64(n))

			p2 := &Part{From: m.Place}
			cfg.Part = p2
			ctx2, cancel2 := context.WithCancel(t.Context())
			defer cancel2()
			go keep(ctx2, p2, start, 50*time.Millisecond, never100)
			second, err := Run(ctx2, cfg, &memorySource{list: list})
			require.NoError(t, err)
			var sum Result
			add(t, &sum, first, second)
			require.EqualValues(t, n, sum.Ledger.Accepted)
			require.EqualValues(t, n, sum.Ledger.Passed+sum.Ledger.Dropped["interrupted"])
			requireOnce(t, tt, int(sum.Ledger.Passed))
		})
	}
}

// Nothing is sent that was not allowed, however late it gets.
func TestNothingIsSentBeyondTheMark(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	p := new(Part)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	p.Allow(Mark{Place: 30})
	res, err := Run(ctx, Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Part: p}, &memorySource{list: steady(100, 5, time.Millisecond)})
	require.NoError(t, err)
	require.EqualValues(t, 30, res.Ledger.Passed)
	require.EqualValues(t, 30, res.Ledger.Accepted)
	require.True(t, res.Interrupted)
	require.Len(t, tt.arrivals(), 30)
}

// All at one instant, and more than may be read ahead: marks come when they are needed.
func TestMarksWithinOneInstant(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	list := make([]traffic.Exchange, 0, 200)
	for i := range uint64(200) {
		list = append(list, exchange(i%10, i/10, 0))
	}
	p := new(Part)
	start := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go keep(ctx, p, start, time.Second, never100)
	res, err := Run(ctx, Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Part: p, Window: 16 << 10, Reorder: 4, LagLimit: time.Hour}, &memorySource{list: list})
	require.NoError(t, err)
	require.EqualValues(t, 200, res.Ledger.Passed)
}
