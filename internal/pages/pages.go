// Package pages is a pool of equal pages of memory with a limit. When the limit is reached it hands out
// nothing, and the caller drops what it holds and counts that: recording never waits and never grows.
//
//	Get ─► fill ─► hand over ─► write ─► Put
//	 │
//	 └─► nil: all pages are out
//
// Invariants:
//   - At most Pages() pages exist.
//   - A page has one owner. After Put its bytes are gone: under the race detector they are overwritten.
package pages

import (
	"sync"

	"github.com/redlane/redlane/internal/invariant"
)

// A Pool is used by any number of goroutines.
type Pool struct {
	size, max int
	mu        struct {
		sync.Mutex
		free [][]byte
		made int
	}
}

// New makes a pool of pages of size bytes that together take at most budget bytes, but at least one page.
// Memory is taken when it is first needed and then kept.
func New(size int, budget int64) *Pool {
	if size <= 0 {
		panic("BUG: pages of no size")
	}
	return &Pool{size: size, max: int(max(1, budget/int64(size)))}
}

// Pages is the number of pages that may exist.
func (p *Pool) Pages() int { return p.max }

// Get returns an empty page with room for size bytes, or nil when all are out.
func (p *Pool) Get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.free); n > 0 {
		b := p.mu.free[n-1]
		p.mu.free = p.mu.free[:n-1]
		return b[:0]
	}
	if p.mu.made == p.max {
		return nil
	}
	p.mu.made++
	return make([]byte, 0, p.size)
}

// Put takes a page back. Anything that cannot be one of its pages, by size, is left to the collector.
func (p *Pool) Put(b []byte) {
	if cap(b) != p.size {
		return
	}
	invariant.Poison(b[:cap(b)])
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.free) == p.mu.made {
		panic("BUG: page given back twice")
	}
	p.mu.free = append(p.mu.free, b[:0])
}

// Out is the number of pages that are handed out: 0 when nothing is in flight, which tests check.
func (p *Pool) Out() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.made - len(p.mu.free)
}
