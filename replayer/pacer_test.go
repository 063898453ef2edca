package replayer

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In a bubble time moves only when everybody sleeps: every release is within one slot of its due time and
// never before it, and early connections come lead before.
func TestPacerReleasesOnTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		gaps := rapid.SliceOfN(rapid.Int64Range(0, int64(300*time.Millisecond)), 1, 60).Draw(rt, "gaps")
		loops := rapid.IntRange(1, 4).Draw(rt, "loops")
		known := rapid.IntRange(0, len(gaps)).Draw(rt, "known before the start")
		synctest.Test(t, func(t *testing.T) {
			start := time.Now().Add(lead)
			rig := newPaceRig(loops, start)
			a := rig.ahead
			var list []*item
			due := time.Duration(0)
			for i, gap := range gaps {
				due += time.Duration(gap)
				list = append(list, &item{session: uint64(i), opens: true, due: due, cost: 1})
			}
			for _, it := range list[:known] {
				a.put(it)
			}
			opened := map[uint64]time.Duration{}
			var released []*item
			feeding := spawn(func() error {
				for _, it := range list[known:] {
					time.Sleep(time.Until(start.Add(it.due - lead - time.Millisecond))) // in time, but only just
					a.put(it)
				}
				a.end()
				return nil
			})
			rig.run(t.Context(), func(loop int, now time.Duration, batch []*item, opens []uint64) {
				for _, it := range batch {
					require.Equal(t, loopOf(it.session, loops), loop)
					require.GreaterOrEqual(t, now, it.due, "early")
					require.LessOrEqual(t, now, it.due+slot, "late")
					released = append(released, it)
				}
				for _, id := range opens {
					require.NotContains(t, opened, id)
					opened[id] = now
				}
			})
			<-feeding
			n, last := a.released()
			require.Equal(t, due, last)
			require.EqualValues(t, len(list), n)
			require.ElementsMatch(t, list, released)
			for i, it := range list[:known] {
				at, ok := opened[it.session]
				require.True(t, ok, "session %d was not opened early", i)
				require.LessOrEqual(t, at, max(it.due-lead+slot, -lead+slot), "opened late")
			}
		})
	})
}

// A paceRig has pacers without loops: it looks when they say, and when they are told.
type paceRig struct {
	ahead *ahead
	start time.Time
	told  []chan struct{}
}

func newPaceRig(loops int, start time.Time) *paceRig {
	r := &paceRig{start: start}
	for range loops {
		r.told = append(r.told, make(chan struct{}, 1))
	}
	r.ahead = newAhead(1<<20, loops, func(loop int) { token(r.told[loop]) })
	return r
}

// run returns when nothing more will be due, or with ctx. released is called by one goroutine at a time.
func (r *paceRig) run(ctx context.Context, released func(loop int, now time.Duration, batch []*item, opens []uint64)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for loop := range r.told {
		wg.Go(func() {
			p := &pacer{ahead: r.ahead, loop: loop}
			for ctx.Err() == nil {
				now := time.Since(r.start)
				batch, opens, again, ended := p.look(now)
				mu.Lock()
				released(loop, now, batch, opens)
				mu.Unlock()
				if ended {
					return
				}
				var alarm <-chan time.Time
				if again != never {
					alarm = time.After(again - time.Since(r.start))
				}
				select {
				case <-alarm:
				case <-r.told[loop]:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// What is never due, or never put, keeps a pacer waiting, without a look at the clock in between that goes wrong.
func TestPacerWaits(t *testing.T) {
	f := func(looks int, dues ...time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			rig := newPaceRig(1, time.Now())
			for _, due := range dues {
				rig.ahead.put(&item{due: due})
			}
			n := 0
			rig.run(ctx, func(int, time.Duration, []*item, []uint64) { n++ })
			require.LessOrEqual(t, n, looks)
			released, _ := rig.ahead.released()
			require.EqualValues(t, len(dues), int(released)+len(rig.ahead.drain()))
		})
	}
	const again = int(time.Minute/(lead/8)) + 3 // while more may come, it looks for sessions to open early
	f(1)
	f(again, time.Hour)
	f(again, time.Second, never)
}

// A closed loop that has nothing to send is fed beyond the limit, for what comes may all be of others; up to a bound.
func TestAheadFeedsTheHungry(t *testing.T) {
	sessions := map[int]uint64{} // one of each loop
	for id := uint64(0); len(sessions) < 2; id++ {
		sessions[loopOf(id, 2)] = id
	}
	told := 0
	a := newAhead(100, 2, func(loop int) { require.Equal(t, 1, loop); told++ })
	put := func(loop int) (full bool) { return a.put(&item{session: sessions[loop], cost: 10}) }
	for range 9 {
		require.False(t, put(0))
	}
	require.True(t, put(0), "full")
	_, ended := a.take(1, 5, nil)
	require.False(t, ended)
	require.True(t, put(0), "what is due at a time waits for it")
	a.eager = true
	for range 8*10 - 12 {
		require.False(t, put(0), "loop 1 has nothing")
	}
	require.True(t, put(0), "at the bound")
	require.Zero(t, told)
	require.True(t, put(1))
	require.Equal(t, 1, told)
	require.True(t, put(1))
	require.Equal(t, 1, told, "it has not come back for more")
}

func TestOrderIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []*item
		for i, start := range rapid.SliceOf(rapid.Int64Range(0, 5)).Draw(t, "starts") {
			list = append(list, &item{start: start, session: uint64(i % 3), seq: uint64(i % 2), arrival: uint64(i)})
		}
		take := func() (out []*item) {
			var o order
			for _, it := range list {
				o.put(it)
			}
			for o.len() > 0 {
				out = append(out, o.take())
			}
			return out
		}
		sorted := take()
		require.True(t, slices.IsSortedFunc(sorted, func(a, b *item) int {
			if before(a, b) {
				return -1
			}
			return 1
		}))
		require.ElementsMatch(t, list, sorted)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		require.Equal(t, sorted, take(), "whatever the order it came in")
	})
}

// First in, first out, whatever is asked in between, and the bytes are given back.
func TestAheadKeepsTheLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAhead(2000, 1, func(int) {})
		var now time.Duration
		var put, got uint64
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			for range rapid.IntRange(0, 300).Draw(t, "put") {
				now += time.Millisecond
				full := a.put(&item{arrival: put, session: put, opens: true, due: now, cost: 10})
				put++
				require.Equal(t, 10*(put-got) >= 2000, full)
			}
			upTo := now - time.Duration(rapid.IntRange(0, 400).Draw(t, "kept"))*time.Millisecond
			batch, _, next, ended := a.due(0, upTo, 0, nil, nil)
			for _, it := range batch {
				require.Equal(t, got, it.arrival)
				require.LessOrEqual(t, it.due, upTo)
				got++
			}
			require.False(t, ended)
			require.True(t, next > upTo)
		}
		a.end()
		for _, it := range a.drain() {
			require.Equal(t, got, it.arrival)
			got++
		}
		require.Equal(t, put, got)
	})
}
