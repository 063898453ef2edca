package chance

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameNamesSameStream(t *testing.T) {
	a, b := Stream(42, "latency", 7), Stream(42, "latency", 7)
	for range 100 {
		require.Equal(t, a.Uint64(), b.Uint64())
	}
}

func TestEachPartOfTheNameMatters(t *testing.T) {
	base := Stream(42, "latency", 7).Uint64()
	require.NotEqual(t, base, Stream(43, "latency", 7).Uint64(), "seed")
	require.NotEqual(t, base, Stream(42, "abort", 7).Uint64(), "rule")
	require.NotEqual(t, base, Stream(42, "latency", 8).Uint64(), "request id")
}

// Consecutive request ids are the common case: their first draws must still be independent.
func TestShareIsMetOverConsecutiveIDs(t *testing.T) {
	const n = 200_000
	for _, share := range []float64{0, 0.01, 0.1, 0.5, 1} {
		hits := 0
		for id := range uint64(n) {
			if Hit(Stream(1, "rule", id), share) {
				hits++
			}
		}
		// 5 standard deviations of a binomial: fails by chance once in two million.
		slack := 5 * math.Sqrt(n*share*(1-share))
		require.InDelta(t, n*share, hits, slack+1e-9, "share %v", share)
	}
}
