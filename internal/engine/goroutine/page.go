package goroutine

import (
	"sync"

	"github.com/redlane/redlane/internal/invariant"
)

// pageSize makes a page, header included, fill a 32 KiB size class of Go's allocator.
const pageSize = 32<<10 - 16

// A page holds bytes that were read and are being handed over, or that wait to be written.
type page struct {
	next *page
	n    int
	b    [pageSize]byte
}

var pages = sync.Pool{New: func() any { return new(page) }}

func getPage() *page { return pages.Get().(*page) }

func putPage(p *page) {
	invariant.Poison(p.b[:p.n])
	p.next, p.n = nil, 0
	pages.Put(p)
}

// A queue is pages in the order they will be written.
type queue struct{ head, tail *page }

// push copies b behind what is queued.
func (q *queue) push(b []byte) {
	for len(b) > 0 {
		if q.tail == nil || q.tail.n == pageSize {
			p := getPage()
			if q.tail == nil {
				q.head = p
			} else {
				q.tail.next = p
			}
			q.tail = p
		}
		n := copy(q.tail.b[q.tail.n:], b)
		q.tail.n += n
		b = b[n:]
	}
}

// pop takes the first page out; nil when the queue is empty.
func (q *queue) pop() *page {
	p := q.head
	if p == nil {
		return nil
	}
	if q.head = p.next; q.head == nil {
		q.tail = nil
	}
	p.next = nil
	return p
}

func (q *queue) drop() {
	for p := q.pop(); p != nil; p = q.pop() {
		putPage(p)
	}
}
