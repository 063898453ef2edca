package replayer

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/conf"
)

func dues(rate conf.Rate, starts []int64) (all []time.Duration, moved int) {
	s := Schedule{Rate: rate}
	for _, start := range starts {
		due, m := s.Next(start)
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
		got, _ := dues(r, starts)
		require.Equal(t, want, got)
	}
	f("", ms(0, 10, 15), 0, 10*time.Millisecond, 15*time.Millisecond)
	f("1x", ms(0, 10, 15), 0, 10*time.Millisecond, 15*time.Millisecond)
	f("5x", ms(0, 10, 15), 0, 2*time.Millisecond, 3*time.Millisecond)
	f("0.5x", ms(0, 10, 15), 0, 20*time.Millisecond, 30*time.Millisecond)
	f("2000/s", ms(0, 10, 15), 0, 500*time.Microsecond, time.Millisecond)
	f("3/s", ms(0, 0, 0, 0), 0, 333333333, 666666667, time.Second)
	f("1x", ms(10, 0, 20), 0, 0, 10*time.Millisecond) // out of order: never before its predecessor
	f("0.000000001x", []int64{0, 1 << 62}, 0, 1<<63-1)
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
		got, moved := dues(rate, list)
		require.Len(t, got, len(list))
		require.Zero(t, got[0])
		require.True(t, slices.IsSorted(got))
		require.Zero(t, moved, "a sorted recording needs no moving")
		again, _ := dues(rate, list)
		require.Equal(t, got, again)
	})
}

// No drift: each due time is the exact one, computed with fractions, to within one nanosecond and what a
// float64 can tell apart, however many came before it.
func TestScheduleDoesNotDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, list := rates.Draw(t, "rate"), starts.Draw(t, "starts")
		got, _ := dues(rate, list)
		for i := range list {
			exact := new(big.Rat)
			if rate.PerSecond > 0 {
				exact.SetInt64(int64(i)*int64(time.Second)).Quo(exact, new(big.Rat).SetFloat64(rate.PerSecond))
			} else {
				exact.SetInt64(list[i]-list[0]).Quo(exact, new(big.Rat).SetFloat64(rate.Times))
			}
			want, _ := exact.Float64()
			require.InDelta(t, want, float64(got[i]), 1+want*1e-15, "exchange %d", i)
		}
	})
}

// Whatever the order of the input, due times never go back, and what was moved is counted.
func TestScheduleOfAnUnsortedRecording(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Int64Range(0, 1e12), 1, 100).Draw(t, "starts")
		got, moved := dues(conf.Rate{Times: 3}, list)
		require.True(t, slices.IsSorted(got))
		back, top := 0, list[0]
		for _, s := range list {
			if s < top-2 { // less than the rounding of 3x cannot be seen
				back++
			}
			top = max(top, s)
		}
		require.GreaterOrEqual(t, moved, back)
	})
}
