package chance

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEvenMeetsEachPartOfTheRangeOnce(t *testing.T) {
	for b := range uint64(2000) {
		var seen [block]bool
		for i := range uint64(block) {
			u := Even(7, "a", b%13, b*block+i)
			require.True(t, u >= 0 && u < 1)
			at := int(u * block)
			require.False(t, seen[at], "block %d", b)
			seen[at] = true
		}
	}
}

func TestEvenMeetsShares(t *testing.T) {
	for _, share := range []float64{0.001, 0.1, 0.33, 0.5, 0.999} {
		const n, all = 25_000, 40
		sum, worst := 0, 0.0
		for series := range uint64(all) {
			hits := 0
			for i := range uint64(n) {
				if Even(42, "a", series, i) < share {
					hits++
				}
			}
			sum += hits
			worst = max(worst, math.Abs(float64(hits)/n-share))
		}
		require.InDelta(t, share, float64(sum)/n/all, 0.0005)
		require.Less(t, worst, 0.0015, "share %v of each series", share) // dice: 0.003 is one in nine
	}
}

// One of each series, and neighbours: as good as dice.
func TestEvenIsChance(t *testing.T) {
	const n = 200_000
	first, both := 0, 0
	for s := range uint64(n) {
		a, b := Even(1, "a", s, 0) < 0.1, Even(1, "a", s, 1) < 0.1
		if a {
			first++
		}
		if a && b {
			both++
		}
	}
	require.InDelta(t, 0.1*n, first, 5*math.Sqrt(n*0.09))
	want := n * 0.1 * (0.1*block - 1) / (block - 1) // without putting back
	require.InDelta(t, want, both, 6*math.Sqrt(want))
	require.NotEqual(t, Even(1, "a", 1, 1), Even(2, "a", 1, 1), "the seed matters")
	require.NotEqual(t, Even(1, "a", 1, 1), Even(1, "b", 1, 1), "the rule matters")
	require.NotEqual(t, Even(1, "a", 1, 1), Even(1, "a", 2, 1), "the series matters")
	require.Equal(t, Even(1, "a", 1, 1), Even(1, "a", 1, 1))
}
