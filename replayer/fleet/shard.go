package fleet

import "math/bits"

// shardOf is the shard of a session, of n.
func shardOf(session uint64, n int) int {
	// The finaliser of splitmix64 with another start than the one that spreads sessions over loops: shards of
	// one worker must not all be of one loop.
	x := session + 0x632be59bd9b4e019
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	hi, _ := bits.Mul64(x^x>>31, uint64(n))
	return int(hi)
}

// owns is the test for the sessions of shards, of n.
func owns(shards []int, n int) func(session uint64) bool {
	mine := make([]bool, n)
	for _, s := range shards {
		if s >= 0 && s < n {
			mine[s] = true
		}
	}
	return func(session uint64) bool { return mine[shardOf(session, n)] }
}

// deal hands out n shards in stripes, in proportion to capacities, each of which is at least 1:
//
//	capacities 1 1     a b a b a b a b
//	           2 1     a b a a b a a b a
//
// After every step nobody is a whole shard ahead of or behind its share.
func deal(n int, capacities []int) [][]int {
	out := make([][]int, len(capacities))
	sum := 0
	for _, c := range capacities {
		sum += c
	}
	credit := make([]int, len(capacities))
	for shard := range n {
		best := 0
		for i, c := range capacities {
			credit[i] += c
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= sum
		out[best] = append(out[best], shard)
	}
	return out
}
