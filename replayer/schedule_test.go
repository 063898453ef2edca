package replayer

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer/shape"
)

func dues(t require.TestingT, rate conf.Rate, starts []int64) (all []time.Duration, moved int) {
	cfg := Config{Rate: rate}
	require.NoError(t, cfg.checkShape())
	s := Schedule{Shape: cfg.Shape}
	for _, start := range starts {
		due, m, ok := s.Next(start)
		require.True(t, ok)
		all = append(all, due)
		if m {
			moved++
		}
	}
	return all, moved
}

func TestScheduleByHand(t *testing.T) {
	ms := func(list ...int64) (out []int64) {
		for _, v := range list {
			out = append(out, 1_700_000_000_000_000_000+v*int64(time.Millisecond))
		}
		return out
	}
	f := func(rate string, starts []int64, want ...time.Duration) {
		t.Helper()
		var r conf.Rate
		if rate != "" {
			require.NoError(t, r.UnmarshalText([]byte(rate)))
		}
		got, _ := dues(t, r, starts)
		require.Equal(t, want, got)
	}
	f("", ms(0, 10, 15), 0, 10*time.Millisecond, 15*time.Millisecond)
	f("1x", ms(0, 10, 15), 0, 10*time.Millisecond, 15*time.Millisecond)
	f("5x", ms(0, 10, 15), 0, 2*time.Millisecond, 3*time.Millisecond)
	f("0.5x", ms(0, 10, 15), 0, 20*time.Millisecond, 30*time.Millisecond)
	f("0.3x", ms(0, 3), 0, 10*time.Millisecond)
	f("2000/s", ms(0, 10, 15), 0, 500*time.Microsecond, time.Millisecond)
	f("3/s", ms(0, 0, 0, 0), 0, 333333334, 666666667, time.Second)
	f("1x", ms(10, 0, 20), 0, 0, 10*time.Millisecond) // out of order: never before its predecessor
	f("0.000001x", []int64{0, 1 << 62}, 0, 1<<63-1)
	f("1x", []int64{-1 << 62, 1<<62 - 1}, 0, 1<<63-1)
}

var rates = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) conf.Rate { return conf.Rate{Times: rapid.Float64Range(0.01, 1000).Draw(t, "x")} }),
	rapid.Custom(func(t *rapid.T) conf.Rate { return conf.Rate{PerSecond: rapid.Float64Range(0.1, 1e7).Draw(t, "/s")} }),
)

var starts = rapid.Custom(func(t *rapid.T) []int64 {
	at := rapid.Int64Range(0, 2e18).Draw(t, "first")
	list := []int64{at}
	for _, gap := range rapid.SliceOf(rapid.Int64Range(0, int64(time.Hour))).Draw(t, "gaps") {
		at += gap
		list = append(list, at)
	}
	return list
})

// Conservation and order: as many due times as exchanges, none before the one before it, and the same
// ones when asked again.
func TestScheduleKeepsCountAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, list := rates.Draw(t, "rate"), starts.Draw(t, "starts")
		got, moved := dues(t, rate, list)
		require.Len(t, got, len(list))
		require.Zero(t, got[0])
		require.True(t, slices.IsSorted(got))
		require.Zero(t, moved, "a sorted recording needs no moving")
		again, _ := dues(t, rate, list)
		require.Equal(t, got, again)
	})
}

// No drift: each due time is the exact one, computed with fractions and rounded up to the nanosecond,
// however many came before it.
func TestScheduleDoesNotDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, list := rates.Draw(t, "rate"), starts.Draw(t, "starts")
		got, _ := dues(t, rate, list)
		millionths := func(f float64) *big.Rat { return big.NewRat(int64(math.Round(f*1e6)), 1e6) }
		for i := range list {
			exact := new(big.Rat)
			if rate.PerSecond > 0 {
				exact.SetInt64(int64(i)*int64(time.Second)).Quo(exact, millionths(rate.PerSecond))
			} else {
				exact.SetInt64(list[i]-list[0]).Quo(exact, millionths(rate.Times))
			}
			up := new(big.Int).Add(exact.Num(), new(big.Int).Sub(exact.Denom(), big.NewInt(1)))
			require.Equal(t, up.Quo(up, exact.Denom()).Int64(), int64(got[i]), "exchange %d", i)
		}
	})
}

// Whatever the order of the input, due times never go back, and what was moved is counted.
func TestScheduleOfAnUnsortedRecording(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Int64Range(0, 1e12), 1, 100).Draw(t, "starts")
		got, moved := dues(t, conf.Rate{Times: 3}, list)
		require.True(t, slices.IsSorted(got))
		back, top := 0, list[0]
		for _, s := range list {
			if s < top-3 { // less than the rounding of 3x cannot be seen
				back++
			}
			top = max(top, s)
		}
		require.GreaterOrEqual(t, moved, back)
	})
}

// shapeOf is the shape that a text describes; it names no recording.
func shapeOf(t testing.TB, text string) *shape.Shape {
	t.Helper()
	var spec shape.Spec
	require.NoError(t, spec.UnmarshalText([]byte(text)))
	s, err := spec.Shape(t.Context(), 1, nil, nil)
	require.NoError(t, err)
	return s
}

func TestSchedulesEnd(t *testing.T) {
	f := func(text string, end time.Duration, give, want int, unfilled time.Duration) {
		t.Helper()
		s := Schedule{Shape: shapeOf(t, text), For: end}
		n := 0
		for i := range give {
			_, _, ok := s.Next(int64(i) * int64(time.Millisecond))
			require.Equal(t, n == i && n < want, ok)
			if ok {
				n++
			}
		}
		require.Equal(t, want, n)
		require.Equal(t, unfilled, s.unfilled())
	}
	f("1x", 0, 50, 50, 0)
	f("1x", 10*time.Millisecond, 50, 10, 0) // 0 to 9 ms
	f("1x", 10*time.Millisecond, 5, 5, 0)   // as long as there is anything
	f("2000/s for 10ms", 0, 50, 20, 0)
	f("2000/s for 10ms", 0, 20, 20, 0)
	f("2000/s for 10ms", 0, 19, 19, time.Millisecond)
	f("2000/s for 10ms", 5*time.Millisecond, 50, 10, 0)
	f("2000/s for 10ms", 5*time.Millisecond, 9, 9, time.Millisecond)
	f("2000/s for 10ms", 0, 0, 0, 10*time.Millisecond)
}

// A shape shorter than the recording ends the run, with everything in the books; one that is longer makes
// it invalid: what was asked for was not sent.
func TestShapesEndRuns(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	list := steady(3000, 20, time.Millisecond)
	res := replay(t, Config{To: tt.to(), Shape: shapeOf(t, "1000/s..3000/s over 100ms, 0/s for 50ms, 2000/s for 50ms")}, list)
	require.EqualValues(t, 300, res.Ledger.Passed)
	require.Equal(t, res.Ledger.Accepted-300, res.Ledger.Filtered)
	require.Positive(t, res.Ledger.Filtered, "what was read ahead")
	require.False(t, res.Interrupted)
	require.NoError(t, res.Valid())
	require.InDelta(t, 300/0.2, res.Asked, 30)

	res = replay(t, Config{To: tt.to(), Shape: shapeOf(t, "2000/s for 200ms")}, list[:300])
	require.EqualValues(t, 300, res.Ledger.Passed)
	require.EqualError(t, res.Valid(), "invalid run: the recording ended 51ms before the shape did; repeat it")

	res = replay(t, Config{To: tt.to(), For: 50 * time.Millisecond}, list)
	require.EqualValues(t, 50, res.Ledger.Passed)
	require.NoError(t, res.Valid())
}

func TestSchedulesAreChecked(t *testing.T) {
	f := func(cfg Config, want string) {
		t.Helper()
		require.EqualError(t, cfg.checkShape(), want)
	}
	f(Config{For: -1}, "replay: for: must not be negative")
	f(Config{Rate: conf.Rate{Times: 2}, Shape: shapeOf(t, "1x")}, "replay: a rate and a shape at once")
	f(Config{Rate: conf.Rate{Times: 2, PerSecond: 3}}, "replay: rate: a multiple and a number per second at once")
	f(Config{Rate: conf.Rate{Times: -2}}, "replay: rate -2x: want a rate above 0 such as 5x or 2000/s: -2x is not between 0.000001x and 1000000000x")
	f(Config{Closed: true, For: 1}, "replay: for: a closed loop has no due times that could end; leave one of them out")
	f(Config{Closed: true, Shape: shapeOf(t, "5/s for 1s")}, "replay: shape 5/s for 1s: a closed loop has no due times; leave one of them out")
}

// A filteringSource has passed over three exchanges.
type filteringSource struct{ memorySource }

func (*filteringSource) Filtered() uint64 { return 3 }

func TestWhatASourcePassesOverIsInTheBooks(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	res := replayFrom(t, Config{To: tt.to()}, &filteringSource{memorySource{list: steady(5, 1, 0)}})
	require.Equal(t, "replay: accepted 8 = passed 5 + filtered 3 + sampled out 0 + dropped 0, balanced", res.Ledger.String())
}
