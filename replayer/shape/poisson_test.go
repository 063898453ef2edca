package shape

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func arrivals(t *testing.T, s *Shape, n int) (due []time.Duration) {
	p := s.Pace()
	for range n {
		d, ok := p.Next(0)
		if !ok {
			break
		}
		due = append(due, d)
	}
	require.True(t, slices.IsSorted(due))
	return due
}

// gaps of an exponential distribution with this mean, against the distribution itself: mean, variance, and the largest
// distance between the two (Kolmogorov and Smirnov; a fair sample is further away once in a thousand times).
func requireExponential(t *testing.T, gaps []float64, mean float64) {
	t.Helper()
	n := float64(len(gaps))
	var sum, squares, distance float64
	slices.Sort(gaps)
	for i, g := range gaps {
		sum += g
		squares += g * g
		cdf := 1 - math.Exp(-g/mean)
		distance = max(distance, math.Abs(cdf-float64(i)/n), math.Abs(cdf-float64(i+1)/n))
	}
	require.InEpsilon(t, mean, sum/n, 4/math.Sqrt(n))
	require.InEpsilon(t, mean*mean, squares/n-sum/n*sum/n, 4*math.Sqrt(8/n))
	require.Less(t, distance, 1.95/math.Sqrt(n))
}

const many = 200_000

func TestPoissonGapsAreExponential(t *testing.T) {
	c, err := New([]Stage{{From: per(2000), To: per(2000)}})
	require.NoError(t, err)
	var gaps []float64
	last := time.Duration(0)
	for _, d := range arrivals(t, Poisson(c, 7), many) {
		gaps = append(gaps, (d - last).Seconds())
		last = d
	}
	require.Len(t, gaps, many)
	requireExponential(t, gaps, 1.0/2000)
}

// Under a ramp the gaps are exponential too, once time is counted in requests that the ramp would have sent.
func TestPoissonFollowsTheShape(t *testing.T) {
	stages := []Stage{{From: 0, To: per(4000), For: 50 * time.Second}, {From: 0, To: 0, For: 10 * time.Second}, {From: per(4000), To: 0, For: 50 * time.Second}}
	c, err := New(stages)
	require.NoError(t, err)
	due := arrivals(t, Poisson(c, 7), 1e6)
	require.InDelta(t, many, len(due), 4*math.Sqrt(many), "the end of the shape is its end")
	var gaps []float64
	last := 0.0
	for _, d := range due {
		require.False(t, d > 50*time.Second && d < 60*time.Second, "an arrival in the pause, at %s", d)
		n, _ := count(stages, d).Float64()
		gaps = append(gaps, n-last)
		last = n
	}
	requireExponential(t, gaps, 1)
}

// The number due in each second has the variance of a Poisson distribution: its mean.
func TestPoissonCountsVaryAsTheyShould(t *testing.T) {
	c, err := New([]Stage{{From: per(50), To: per(50), For: 4000 * time.Second}})
	require.NoError(t, err)
	by := make([]float64, 4000)
	for _, d := range arrivals(t, Poisson(c, 3), 1e6) {
		by[d/time.Second]++
	}
	var sum, squares float64
	for _, n := range by {
		sum += n
		squares += n * n
	}
	mean := sum / 4000
	require.InDelta(t, 50, mean, 4*math.Sqrt(50.0/4000))
	require.InEpsilon(t, 50, squares/4000-mean*mean, 4*math.Sqrt(2.0/4000))
}

func TestPoissonIsOfItsSeed(t *testing.T) {
	c, err := New([]Stage{{From: per(1000), To: per(1000)}})
	require.NoError(t, err)
	require.Equal(t, arrivals(t, Poisson(c, 1), 1000), arrivals(t, Poisson(c, 1), 1000))
	require.NotEqual(t, arrivals(t, Poisson(c, 1), 1000), arrivals(t, Poisson(c, 2), 1000))
}

// The sum of gaps has no error that grows: far out, an arrival is still where its gap puts it.
func TestPoissonDoesNotDrift(t *testing.T) {
	c, err := New([]Stage{{From: per(1e6), To: per(1e6)}})
	require.NoError(t, err)
	p := Poisson(c, 1).Pace()
	p.x = u128{1_000_000_000_000, 1 << 63} // a million seconds
	before, _ := p.Next(0)
	require.GreaterOrEqual(t, before, 1_000_000*time.Second)
	for range 1000 {
		x := p.x
		due, _ := p.Next(0)
		gap := p.x.sub(x).float() / (1 << 64) * 1000 // in nanoseconds
		require.InDelta(t, gap, float64(due-before), 1.001)
		before = due
	}
}
