// Package chance is the only source of randomness in decisions. Every decision draws from a stream named
// by (seed, rule, request id), so that the same run makes the same decisions whatever the order, the
// number of loops or the retries.
package chance

import "math/rand/v2"

// Stream returns the stream of chance of one rule for one request.
func Stream(seed uint64, rule string, id uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed^Hash(rule), id))
}

// Hash is FNV-1a of s: it turns the name of a rule into the number that tells its stream from others'.
func Hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Hit reports whether an event of probability share (0 to 1) happens. It draws exactly once, also for 0
// and 1, so that changing a share does not shift what the stream yields next.
func Hit(r *rand.Rand, share float64) bool { return r.Float64() < share }
