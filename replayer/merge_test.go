package replayer

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// An outcome is one request as a book sees it.
type outcome struct {
	due, lag, took time.Duration
	route          string
	status         int
}

var outcomes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) outcome {
	return outcome{
		due:    time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "due")),
		lag:    time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "lag")),
		took:   time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "took")),
		route:  rapid.SampledFrom([]string{"GET /a", "GET /b/*", "other"}).Draw(t, "route"),
		status: rapid.SampledFrom([]int{0, 200, 204, 404, 503}).Draw(t, "status"),
	}
}), 0, 60)

// resultOf is what a worker with these outcomes found. limit is of its grid.
func resultOf(list []outcome, limit int) *Result {
	names, err := newRoutes([]string{"/a", "/b/{x}"}, 100)
	if err != nil {
		panic(err)
	}
	numbers := map[string]uint16{"other": otherRoute, "GET /a": names.of([]byte("GET"), []byte("/a")), "GET /b/*": names.of([]byte("GET"), []byte("/b/1"))}
	b := newBook("red", names)
	k := newKeeper(names, []*book{b})
	k.grid.limit = limit
	r := &Result{
		Version: ResultVersion, To: "127.0.0.1:9000", Lane: "red", Rate: "5x", Workers: 1, LagLimit: 10 * time.Millisecond,
		Started: time.Unix(1_700_000_000, 5).UTC(), Ledger: traffic.Ledger{Stage: "replay", Accepted: uint64(len(list))},
	}
	for i, o := range list {
		it := &item{due: o.due, ready: o.due, sent: o.due + o.lag, route: numbers[o.route], status: 200}
		b.send(it)
		if o.status == 0 {
			b.fail(it, dropReset, it.sent+o.took)
		} else {
			b.answer(it, o.status, it.sent+o.took)
		}
		r.Released++
		r.LastDue = max(r.LastDue, o.due)
		if i%7 == 0 { // as once a second
			b.handOver()
			k.take()
		}
	}
	k.close(r)
	r.rates()
	return r
}

// image is all of r; the sum of its cells says the same as its total.
func image(t require.TestingT, r *Result) string {
	data, err := r.MarshalBinary()
	require.NoError(t, err)
	var back Result
	require.NoError(t, back.UnmarshalBinary(data))
	require.Equal(t, back.Total.Count, r.Total.Count)
	require.Equal(t, maps.Collect(back.Total.Due.Buckets()), maps.Collect(r.Total.Due.Buckets()))
	require.Equal(t, maps.Collect(back.Total.Lag.Buckets()), maps.Collect(r.Total.Lag.Buckets()))
	return string(data)
}

func text(t require.TestingT, r *Result) string {
	data, err := json.Marshal(r)
	require.NoError(t, err)
	return string(data)
}

func clone(t require.TestingT, r *Result) *Result {
	var c Result
	data, err := r.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, c.UnmarshalBinary(data))
	return &c
}

// However the work was shared out, and in whatever order and groups the shares are merged, the result is that
// of one worker that did it all.
func TestMergeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []*Result
		var all []outcome
		for range rapid.IntRange(1, 5).Draw(t, "workers") {
			list := outcomes.Draw(t, "outcomes")
			parts = append(parts, resultOf(list, maxCells))
			all = append(all, list...)
		}
		want := resultOf(all, maxCells)
		want.Workers = len(parts)
		before := make([]string, len(parts))
		for i, p := range parts {
			before[i] = image(t, p)
		}

		oneByOne := new(Result)
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(t, "order") {
			if i < len(parts) {
				oneByOne.Merge(parts[i])
			}
		}
		require.Equal(t, image(t, want), image(t, oneByOne))
		requireConsistent(t, oneByOne)

		var sum Sum
		for i, p := range parts {
			if rapid.Bool().Draw(t, "in bytes") {
				p = clone(t, p)
			}
			sum.Add(p)
			if i == 1 { // what is old moves on
				var old Sum
				old.Add(sum.Result())
				sum = old
			}
		}
		var due, lag, wantDue hdr.Hist
		sum.Second(3, &due, &lag)
		for _, c := range want.Cells {
			if c.Second == 3 {
				wantDue.Merge(&c.Due)
			}
		}
		require.Equal(t, wantDue.Count(), due.Count())
		require.Equal(t, due.Count(), lag.Count())
		require.Equal(t, image(t, want), image(t, sum.Result()))
		for i, p := range parts {
			require.Equal(t, before[i], image(t, p), "merging changed what was merged")
		}

		for len(parts) > 1 { // as a tree
			i := rapid.IntRange(0, len(parts)-2).Draw(t, "pair")
			sum := clone(t, parts[i])
			sum.Merge(parts[i+1])
			parts = append(parts[:i], append([]*Result{sum}, parts[i+2:]...)...)
		}
		parts[0].Merge(new(Result))
		require.Equal(t, image(t, want), image(t, parts[0]))
	})
}

// The same holds where the cells are too many and steps become longer.
func TestMergeIsExactWhereStepsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 30).Draw(t, "limit")
		list := outcomes.Draw(t, "outcomes")
		cut := rapid.IntRange(0, len(list)).Draw(t, "cut")
		whole, a, b := newGrid(limit), newGrid(limit), newGrid(limit)
		for i, c := range resultOf(list, maxCells).Cells {
			whole.add(&c)
			if i < cut {
				a.add(&c)
			} else {
				b.add(&c)
			}
			whole.fit(whole.step) // now and then, or at the end
		}
		a.fit(1)
		b.fit(1)
		for _, c := range b.list() {
			a.add(&c)
		}
		a.fit(max(a.step, b.step))
		require.LessOrEqual(t, len(whole.cells), max(limit, 15), "15 differ by more than their second")
		require.Equal(t, whole.step, a.step)
		require.Equal(t, image(t, sumUp(whole)), image(t, sumUp(a)))
	})
}

func sumUp(g *grid) *Result {
	r := &Result{Version: ResultVersion, Cells: g.list()}
	for i := range r.Cells {
		r.Total.Add(&r.Cells[i].Stats)
	}
	return r
}

// Results of different steps meet at the longer one.
func TestMergeOfDifferentSteps(t *testing.T) {
	list := []outcome{{due: 0, status: 200, route: "other"}, {due: 5 * time.Second, status: 200, route: "other"}, {due: 7 * time.Second, status: 200, route: "other"}}
	fine, coarse := resultOf(list, maxCells), resultOf(list, 2)
	require.Equal(t, 1, fine.Step)
	require.Equal(t, 4, coarse.Step)
	for _, pair := range [][2]*Result{{fine, coarse}, {coarse, fine}} {
		sum := clone(t, pair[0])
		sum.Merge(pair[1])
		require.Equal(t, 4, sum.Step)
		require.Len(t, sum.Cells, 2)
		require.EqualValues(t, 2, sum.Cells[0].Count)
		require.Equal(t, 4, sum.Cells[1].Second)
		require.EqualValues(t, 4, sum.Cells[1].Count)
		var many Sum
		many.Add(pair[0])
		many.Add(pair[1])
		require.Equal(t, image(t, sum), image(t, many.Result()))
	}
}

// Hours of many routes are a bounded number of cells, and nothing of them is lost.
func TestLongRunsAreBounded(t *testing.T) {
	g := newGrid(1000)
	n := uint64(0)
	for second := range 20_000 {
		for route := range 5 {
			c := Cell{Second: second, Lane: "red", Route: fmt.Sprint(route), Status: 200}
			c.Count = 1
			c.Due.Record(time.Duration(second))
			g.add(&c)
			n++
		}
		g.fit(g.step)
		require.LessOrEqual(t, len(g.cells), 1000)
	}
	require.Equal(t, 128, g.step)
	var sum Stats
	for _, c := range g.list() {
		require.Zero(t, c.Second%128)
		sum.Add(&c.Stats)
	}
	require.Equal(t, n, sum.Count)
	require.Equal(t, n, sum.Due.Count())
}

func TestMergeOfStrangers(t *testing.T) {
	a, b := &Result{To: "a:1", Lane: "red", LagLimit: 5, Started: time.Unix(2, 0)}, &Result{To: "b:1", Lane: "red", LagLimit: 3, Started: time.Unix(1, 0), Interrupted: true}
	a.Merge(b)
	require.Equal(t, "a:1,b:1", a.To)
	require.Equal(t, traffic.Color("red"), a.Lane)
	require.EqualValues(t, 3, a.LagLimit)
	require.Equal(t, time.Unix(1, 0), a.Started)
	require.True(t, a.Interrupted)
}

func TestResultKeepsItselfAsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := resultOf(outcomes.Draw(t, "outcomes"), maxCells)
		want := text(t, r)
		require.Equal(t, want, text(t, clone(t, r)))
		var back Result
		require.NoError(t, json.Unmarshal([]byte(want), &back))
		require.Equal(t, want, text(t, &back))
	})
}

func TestResultOfAnotherVersion(t *testing.T) {
	r := resultOf([]outcome{{status: 200}}, maxCells)
	data, err := r.MarshalBinary()
	require.NoError(t, err)
	data[len(magic)]++
	var back Result
	require.EqualError(t, back.UnmarshalBinary(data), "decode result: version 2, this program reads version 1")
	require.EqualError(t, back.UnmarshalBinary([]byte("PK")), "decode result: not the result of a replay")
	require.EqualError(t, json.Unmarshal([]byte(`{"version":7}`), &back), "decode result: version 7, this program reads version 1")
	require.Error(t, json.Unmarshal([]byte(`{}`), &back))
}

func FuzzResultFromBytes(f *testing.F) {
	data, err := resultOf([]outcome{{due: 1, took: 7, route: "GET /a", status: 200}, {due: 3e9, status: 0, route: "other"}}, maxCells).MarshalBinary()
	require.NoError(f, err)
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, sum Result
		if r.UnmarshalBinary(data) != nil {
			return
		}
		sum.Merge(&r)
		sum.Merge(&r)
		require.Equal(t, 2*r.Total.Due.Count(), sum.Total.Due.Count())
	})
}

// fullGrid is a grid at its limit: 20 cells a second of so many requests each.
func fullGrid(requests int) *grid {
	g := newGrid(maxCells)
	x := uint64(1)
	for i := range maxCells {
		c := Cell{Second: i / 20, Lane: "red", Route: fmt.Sprint("GET /", i%10), Status: 200 + i/10%2}
		for range requests {
			x = x*6364136223846793005 + 1442695040888963407
			d := 100*time.Microsecond + time.Duration(x>>43)
			c.Count++
			c.Due.Record(d)
			c.Sent.Record(d)
			c.Lag.Record(d / 10)
		}
		g.add(&c)
	}
	return g
}

// What a result takes at its limit, and what it is to merge one with another: a controller does it, and no loop.
func BenchmarkFullGrid(b *testing.B) {
	for _, requests := range []int{1, 100} {
		b.Run(fmt.Sprint(requests), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			g := fullGrid(requests)
			r := &Result{Version: ResultVersion, Step: 1, Cells: g.list()}
			runtime.GC()
			runtime.ReadMemStats(&after)
			data, err := r.MarshalBinary()
			require.NoError(b, err)
			sum := new(Result)
			b.ResetTimer()
			for b.Loop() {
				sum.Merge(r) // as a controller does, worker by worker
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/maxCells, "B/cell")
			b.ReportMetric(float64(len(data))/maxCells, "encoded-B/cell")
			runtime.KeepAlive(g)
		})
	}
}
