package chart

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLinear(t *testing.T) {
	f := func(top float64, n int, want ...float64) {
		t.Helper()
		require.InDeltaSlice(t, want, linear(top, n), 1e-9)
	}
	f(100, 4, 0, 50, 100)
	f(82, 4, 0, 50, 100)
	f(7, 4, 0, 2, 4, 6, 8)
	f(1, 1, 0, 1)
	f(0.3, 3, 0, 0.1, 0.2, 0.3)
	f(0, 4, 0, 0.5, 1) // no data
	f(math.NaN(), 4, 0, 0.5, 1)
}

func TestDecades(t *testing.T) {
	f := func(lo, hi float64, n int, want ...float64) {
		t.Helper()
		require.InDeltaSlice(t, want, decades(lo, hi, n), 1e-6)
	}
	f(3, 900, 4, 1, 10, 100, 1000)
	f(10, 1000, 4, 10, 100, 1000)
	f(3, 40, 9, 2, 5, 10, 20, 50)
	f(1, 1e8, 4, 1, 100, 1e4, 1e6, 1e8)
}

func TestMoments(t *testing.T) {
	f := func(from, to float64, n int, want ...float64) {
		t.Helper()
		got, _ := moments(from, to, n)
		require.InDeltaSlice(t, want, got, 1e-9)
	}
	f(0, 60, 12, 0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60)
	f(0, 60, 4, 0, 15, 30, 45, 60)
	f(0, 600, 5, 0, 120, 240, 360, 480, 600)
	f(12, 31, 4, 15, 20, 25, 30)
	f(0, 3, 6, 0, 0.5, 1, 1.5, 2, 2.5, 3)
	f(5, 5, 4, 5)
	first, _ := moments(0, 1, 2)
	require.False(t, math.Signbit(first[0]), "-0 would be written as -0 s")
}

// Whatever the data: few ticks, ascending, and the data within them.
func TestTicksCoverTheData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := math.Pow(10, rapid.Float64Range(-3, 18).Draw(t, "log lo"))
		hi := lo * math.Pow(10, rapid.Float64Range(0, 12).Draw(t, "log ratio"))
		n := rapid.IntRange(1, 12).Draw(t, "n")
		lin, log := linear(hi, n), decades(lo, hi, n)
		require.True(t, slices.IsSorted(lin))
		require.True(t, slices.IsSorted(log))
		require.LessOrEqual(t, len(lin), n+2)
		require.LessOrEqual(t, len(log), 3*n+4)
		require.GreaterOrEqual(t, lin[len(lin)-1], hi*(1-1e-6))
		require.LessOrEqual(t, log[0], lo*(1+1e-6))
		from := rapid.Float64Range(0, 1e6).Draw(t, "from")
		at, _ := moments(from, from+math.Pow(10, rapid.Float64Range(-2, 8).Draw(t, "log span")), n)
		require.LessOrEqual(t, len(at), n+2)
		require.True(t, slices.IsSorted(at))
	})
}

func TestScale(t *testing.T) {
	s := scale{min: 0, max: 10, from: 100, to: 0}
	require.Equal(t, 100.0, s.at(0))
	require.Equal(t, 50.0, s.at(5))
	require.Equal(t, 0.0, s.at(99), "held within")
	l := scale{min: 1, max: 100, to: 10, log: true}
	require.InDelta(t, 5, l.at(10), 1e-9)
	require.Equal(t, 0.0, l.at(0), "zero stands at the foot of a log axis")
}
