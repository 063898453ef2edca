package replayer

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/clock"
)

// In a bubble time moves only when everybody sleeps: every release is within one slot of its due time and
// never before it, and early connections come lead before.
func TestPacerReleasesOnTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		gaps := rapid.SliceOfN(rapid.Int64Range(0, int64(300*time.Millisecond)), 1, 60).Draw(rt, "gaps")
		loops := rapid.IntRange(1, 4).Draw(rt, "loops")
		known := rapid.IntRange(0, len(gaps)).Draw(rt, "known before the start")
		synctest.Test(t, func(t *testing.T) {
			a := newAhead(1 << 20)
			var list []*item
			due := time.Duration(0)
			for i, gap := range gaps {
				due += time.Duration(gap)
				list = append(list, &item{session: uint64(i), opens: true, due: due, cost: 1})
			}
			for _, it := range list[:known] {
				a.put(it)
			}
			begin := time.Now()
			start := begin.Add(lead)
			opened := map[uint64]time.Duration{}
			var released []*item
			p := &pacer{clock: clock.System, start: start, ahead: a, loops: loops}
			p.post = func(loop int, batch []*item, opens []uint64) {
				now := time.Since(start)
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
			}
			feeding := spawn(func() error {
				for _, it := range list[known:] {
					time.Sleep(time.Until(start.Add(it.due - lead - time.Millisecond))) // in time, but only just
					a.put(it)
				}
				a.end()
				return nil
			})
			last := p.run(t.Context())
			<-feeding
			require.Equal(t, due, last)
			require.EqualValues(t, len(list), p.released.Load())
			require.ElementsMatch(t, list, released)
			for i, it := range list[:known] {
				at, ok := opened[it.session]
				require.True(t, ok, "session %d was not opened early", i)
				require.LessOrEqual(t, at, max(it.due-lead+slot, -lead+slot), "opened late")
			}
		})
	})
}

func TestPacerEndsWithItsContext(t *testing.T) {
	f := func(dues ...time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a := newAhead(1 << 20)
			for _, due := range dues {
				a.put(&item{due: due})
			}
			p := &pacer{clock: clock.System, start: time.Now(), ahead: a, loops: 1, post: func(int, []*item, []uint64) {}}
			begin := time.Now()
			p.run(ctx)
			require.Equal(t, time.Minute, time.Since(begin))
			require.EqualValues(t, len(dues), p.released.Load()+uint64(len(a.drain())))
		})
	}
	f()
	f(time.Hour)
	f(time.Second, never)
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
		a := newAhead(2000)
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
			batch, _, next, ended := a.due(upTo, 0, nil, nil)
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
