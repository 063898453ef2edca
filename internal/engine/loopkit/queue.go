package loopkit

import (
	"sync"

	"github.com/redlane/redlane/internal/invariant"
)

// PageSize and smallPage are size classes of Go's allocator that are no power of 2: those would put every
// page at the same offset in memory's 4 KiB pattern, and the heads of all pages would fight for the same
// lines of the first-level cache. Most of what is queued is one small message: in pages of their own a few
// dozen of those stay in the cache, where those of 27 KB cost a miss of the address cache each.
const (
	PageSize  = 27264
	smallPage = 2304
)

// A Page holds bytes that were read and are being handed over, or that wait to be written.
type Page struct {
	next *Page
	from int    // what is before has been consumed
	N    int    // how much of B is in use
	B    []byte // PageSize, or less in a Queue
}

var (
	pages  = sync.Pool{New: func() any { return &Page{B: make([]byte, PageSize)} }}
	smalls = sync.Pool{New: func() any { return &Page{B: make([]byte, smallPage)} }}
)

// GetPage borrows a page.
func GetPage() *Page { return pages.Get().(*Page) }

// PutPage gives p back.
func PutPage(p *Page) {
	invariant.Poison(p.B[:p.N])
	p.next, p.from, p.N = nil, 0, 0
	if len(p.B) == smallPage {
		smalls.Put(p)
	} else {
		pages.Put(p)
	}
}

// Bytes is what of p waits.
func (p *Page) Bytes() []byte { return p.B[p.from:p.N] }

// A Queue is bytes in the order they will be written. The zero Queue is empty and owns nothing.
type Queue struct {
	head, tail *Page
	n          int
}

// Len is the number of bytes queued.
func (q *Queue) Len() int { return q.n }

// Push copies b behind what is queued.
func (q *Queue) Push(b []byte) {
	q.n += len(b)
	for len(b) > 0 {
		if q.tail == nil {
			if len(b) <= smallPage {
				q.head = smalls.Get().(*Page)
			} else {
				q.head = GetPage()
			}
			q.tail = q.head
		} else if q.tail.N == len(q.tail.B) {
			q.tail.next = GetPage()
			q.tail = q.tail.next
		}
		n := copy(q.tail.B[q.tail.N:], b)
		q.tail.N += n
		b = b[n:]
	}
}

// Buffers appends to dst what is queued, a slice for each page, up to dst's capacity. The slices are valid
// until they are consumed; more may be pushed meanwhile.
func (q *Queue) Buffers(dst [][]byte) [][]byte {
	for p := q.head; p != nil && len(dst) < cap(dst); p = p.next {
		dst = append(dst, p.Bytes())
	}
	return dst
}

// Consume takes the first n bytes out; n is at most Len.
func (q *Queue) Consume(n int) {
	q.n -= n
	invariant.Check(q.n >= 0, "more consumed than was queued")
	for n > 0 {
		p := q.head
		if left := p.N - p.from; n < left {
			p.from += n
			return
		} else {
			n -= left
		}
		q.drop()
	}
}

// Pop takes the first page out, nil when the queue is empty. Its bytes count as queued no more.
func (q *Queue) Pop() *Page {
	p := q.head
	if p == nil {
		return nil
	}
	if q.head = p.next; q.head == nil {
		q.tail = nil
	}
	p.next = nil
	q.n -= p.N - p.from
	return p
}

func (q *Queue) drop() {
	p := q.head
	p.from = p.N // already counted
	PutPage(q.Pop())
}

// Drop throws away what is queued.
func (q *Queue) Drop() {
	for p := q.Pop(); p != nil; p = q.Pop() {
		PutPage(p)
	}
}
