package replayer

import (
	"time"
	"unsafe"

	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// An item is one request ready to go: a copy, for the bytes of a Source live only until its next call.
type item struct {
	wire   []byte // what is sent, byte for byte
	method []byte // within wire

	session, seq uint64
	arrival      uint64 // place in the source
	start, end   int64  // recorded, Unix nanoseconds
	status       int    // recorded; 0 is none
	route        uint16 // see routes
	opens        bool   // the first of its session, as far as we know
	closes       bool   // the request ends its connection
	foreign      bool   // another Part's: only its place counts
	reason       string // why it cannot be sent, when it is only its place that counts
	place        uint64 // in the recording, in order of due time; of a Part
	repeatable   bool   // may be sent again when a kept connection turns out dead (RFC 9110 §9.2.2)

	due     time.Duration // from the start of the run
	ready   time.Duration // when its session could send it: due, or later
	sent    time.Duration // when it was given to the connection; unsent before
	retried bool
	piped   bool // the recording sent it before the previous answer, and so may we

	received int64 // bytes of answers

	carry *rewrite.Carry // what rewriting needs; nil when nothing is rewritten

	next *item // in the queue of its session
	cost int64 // what it takes of the window
}

const unsent = time.Duration(-1)

// placed makes it an item that only has a place: that of x.
func (it *item) placed(x *traffic.Exchange) {
	it.wire = it.wire[:0]
	it.session, it.seq, it.start = x.Session, x.Seq, x.Start
}

// size is the memory that it holds.
func (it *item) size() int64 {
	return int64(cap(it.wire)) + int64(unsafe.Sizeof(*it)) + it.carry.Size()
}
