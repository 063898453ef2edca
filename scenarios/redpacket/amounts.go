package redpacket

import "github.com/redlane/redlane/internal/chance"

// amounts is what is in each of n seeds, in cents: all positive, all different enough to tell them apart,
// together exactly the budget. Whoever has the same seed of chance agrees about every packet.
func amounts(seed uint64, n int, budget int64) []int64 {
	weights, total := make([]int64, n), int64(0)
	for i := range weights {
		weights[i] = 1 + chance.Stream(seed, "amount", uint64(i)).Int64N(1000)
		total += weights[i]
	}
	out, left := make([]int64, n), budget-int64(n) // one cent each is given away beforehand
	rest := left
	for i, w := range weights {
		part := left * w / total // at most 1e12 * 1000: no overflow
		out[i] = 1 + part
		rest -= part
	}
	for i := range rest { // less than one a seed
		out[i]++
	}
	return out
}
