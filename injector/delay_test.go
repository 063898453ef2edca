package injector

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/hdr"
)

const draws = 200_000

// drawn is what d waits, over as many exchanges, in order of size.
func drawn(d *Delay) []time.Duration {
	all := make([]time.Duration, draws)
	for id := range all {
		all[id] = d.Decide(Op{}, chance.Stream(42, "a", uint64(id))).Wait
	}
	slices.Sort(all)
	return all
}

func requireQuantile(t *testing.T, all []time.Duration, q float64, want time.Duration, slack float64) {
	t.Helper()
	require.InEpsilon(t, float64(want), float64(all[int(q*draws)]), slack, "quantile %v", q)
}

func TestNormalDelay(t *testing.T) {
	all := drawn(&Delay{Delay: 100 * time.Millisecond, Jitter: 20 * time.Millisecond, Distribution: Normal})
	ms := func(f float64) time.Duration { return time.Duration(f * 1e6) }
	requireQuantile(t, all, 0.5, ms(100), 0.005)
	requireQuantile(t, all, 0.8413, ms(120), 0.005) // one standard deviation up
	requireQuantile(t, all, 0.0228, ms(60), 0.015)  // two down
	wide := drawn(&Delay{Delay: time.Millisecond, Jitter: time.Second, Distribution: Normal})
	require.Zero(t, wide[0], "less than nothing is nothing")
}

func TestParetoDelay(t *testing.T) {
	d := &Delay{Delay: 10 * time.Millisecond, Distribution: Pareto, Tail: 1.5, Max: time.Second}
	all := drawn(d)
	require.GreaterOrEqual(t, all[0], d.Delay)
	for _, q := range []float64{0.1, 0.5, 0.9, 0.99} {
		requireQuantile(t, all, q, time.Duration(float64(d.Delay)*math.Pow(1-q, -1/1.5)), 0.04)
	}
	require.Equal(t, time.Second, all[draws-1], "the maximum holds")
	requireQuantile(t, drawn(&Delay{Delay: 10 * time.Millisecond, Distribution: Pareto}), 0.99, 100*time.Millisecond, 0.04) // as the doc says
}

func TestRecordedDelay(t *testing.T) {
	var h hdr.Hist
	for i := range 990 {
		h.Record(time.Duration(1000+i) * time.Microsecond)
	}
	h.Add(time.Second, 10)
	recorded, err := NewHistogram(&h)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("1000 values, p50 %s, p99 %s", h.Quantile(0.5), h.Quantile(0.99)), recorded.Summary())
	all := drawn(&Delay{Histogram: recorded, Times: 3})
	for _, q := range []float64{0.01, 0.5, 0.98, 0.995} {
		requireQuantile(t, all, q, 3*h.Quantile(q), 0.01)
	}
	require.InEpsilon(t, 3*float64(h.Max()), float64(all[draws-1]), 0.001)
	require.InEpsilon(t, 3*float64(h.Min()), float64(all[0]), 0.001)

	_, err = NewHistogram(new(hdr.Hist))
	require.EqualError(t, err, "the histogram is empty: there is nothing to draw from")
	require.ErrorContains(t, new(Histogram).UnmarshalText([]byte("nonsense")), "decode histogram: ")
}
