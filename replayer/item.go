package replayer

import (
	"sync"
	"time"
	"unsafe"
)

// An item is one request ready to go: a copy, for the bytes of a Source live only until its next call.
type item struct {
	wire   []byte // what is sent, byte for byte
	method []byte // within wire

	session, seq uint64
	arrival      uint64 // place in the source
	start, end   int64  // recorded, Unix nanoseconds
	status       int    // recorded; 0 is none
	opens        bool   // the first of its session, as far as we know
	closes       bool   // the request ends its connection
	repeatable   bool   // may be sent again when a kept connection turns out dead (RFC 9110 §9.2.2)

	due     time.Duration // from the start of the run
	ready   time.Duration // when its session could send it: due, or later
	sent    time.Duration // when it was given to the connection; unsent before
	retried bool

	next *item // in the queue of its session
	cost int64 // what it takes of the window
}

const unsent = time.Duration(-1)

var items = sync.Pool{New: func() any { return new(item) }}

// maxKeptWire is the largest request buffer worth keeping for the next item.
const maxKeptWire = 64 << 10

func getItem() *item { return items.Get().(*item) }

func putItem(it *item) {
	wire := it.wire[:0]
	if cap(wire) > maxKeptWire {
		wire = nil
	}
	poison(wire)
	*it = item{wire: wire}
	items.Put(it)
}

// size is the memory that it holds.
func (it *item) size() int64 { return int64(cap(it.wire)) + int64(unsafe.Sizeof(*it)) }
