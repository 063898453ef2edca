package recorder

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/redlane/redlane/internal/invariant"
)

// A bodyPool lends memory for bodies of exchanges under way, within a budget of bytes. Sizes are powers of
// two; small ones are kept for the next body, in at most keepPerSize bytes of each size.
type bodyPool struct {
	limit int64
	used  atomic.Int64
	sizes [numSizes]struct {
		sync.Mutex
		free [][]byte
	}
}

const (
	smallest    = 10 // 1 KiB, as a power of two
	numSizes    = 9  // up to 256 KiB are kept
	keepPerSize = 2 << 20
)

// grow returns b's bytes with room for need, or nil when the budget does not allow it; b is still the
// caller's then.
func (p *bodyPool) grow(b []byte, need int) []byte {
	n := max(smallest, bits.Len(uint(need-1)))
	if p.used.Add(1<<n) > p.limit {
		p.used.Add(-1 << n)
		return nil
	}
	nb := append(p.take(n), b...)
	p.release(b)
	return nb
}

// exactly lends n bytes, or nothing when the budget does not allow it. It is for what is large and does not grow:
// the next power of two may be twice as much.
func (p *bodyPool) exactly(n int) []byte {
	if n <= 1<<(smallest+numSizes-1) {
		return p.grow(nil, n)
	}
	if p.used.Add(int64(n)) > p.limit {
		p.used.Add(-int64(n))
		return nil
	}
	return make([]byte, 0, n)
}

func (p *bodyPool) take(n int) []byte {
	if n -= smallest; n < numSizes {
		s := &p.sizes[n]
		s.Lock()
		defer s.Unlock()
		if k := len(s.free); k > 0 {
			b := s.free[k-1]
			s.free = s.free[:k-1]
			return b[:0]
		}
	}
	return make([]byte, 0, 1<<(n+smallest))
}

// release takes back what grow returned. Empty slices without memory are nothing.
func (p *bodyPool) release(b []byte) {
	if cap(b) < 1<<smallest {
		return
	}
	p.used.Add(-int64(cap(b)))
	n := bits.Len(uint(cap(b)-1)) - smallest
	if n >= numSizes {
		return
	}
	invariant.Poison(b[:cap(b)])
	s := &p.sizes[n]
	s.Lock()
	defer s.Unlock()
	if (len(s.free)+1)<<(n+smallest) <= keepPerSize {
		s.free = append(s.free, b[:0])
	}
}
