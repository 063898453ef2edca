package replayer

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
)

// A session replays the exchanges of one recorded session, in their order, on a connection of its own. It
// is kept while it has a connection or something to send.
//
//	          dial              OnDial             first request          answer, more waiting
//	closed ─────────► dialling ────────► open, idle ────────────► busy ──┐ ◄──────────────────┘
//	   ▲                  │                  │ ▲                    │     └─ answer, nothing waiting ─► idle
//	   └── OnClosed ──────┘◄─ close, reset ──┘ └────────────────────┘
//
//	queue: due, not sent ─► flight: sent, not answered (one, or as many as may be pipelined) ─► book
type session struct {
	id    uint64
	h     engine.Handle
	state state
	had   bool // a connection, before this one
	extra bool // of no recorded session: it takes what would wait for one (Overload.Spawn)
	spare bool // an extra that is free
	timed bool // the connection's timer runs

	flight, queue line
	freeAt        time.Duration // when it was last answered, connected or let in
	since         time.Duration // when the first of flight was sent, or became the first
	kept          bool          // the connection is older than the first of flight
	recordedEnd   int64         // of the latest exchange, to tell pipelined ones

	answer answer

	active bool     // counts against client.most
	lined  bool     // in the line of those that want to be active
	behind *session // in that line

	older, newer *session // idle sessions of the loop
	idle         bool
}

type state uint8

const (
	closed state = iota
	dialling
	open
)

// busy reports whether s has something to send or to wait for.
func (s *session) busy() bool { return s.flight.n+s.queue.n > 0 }

// takes reports whether it may be sent now, on a connection that is open: the one before it was answered, or
// the recording did not wait for that either, and neither do we.
func (s *session) takes(it *item, pipeline int) bool {
	return s.flight.n == 0 || it.piped && s.flight.n < pipeline && !s.flight.tail.closes
}

// An answer is a response as far as it has come.
type answer struct {
	begun   bool   // at least one byte has come
	buf     []byte // bytes that make no sense yet
	scanned int    // of buf, for the end of the head
	status  int    // of the final response, once its head is complete; 0 before
	framing http1.Framing
	body    http1.Body
}

// maxKeptBuf is the largest buffer an idle session keeps.
const maxKeptBuf = 16 << 10

func (a *answer) reset() {
	buf := a.buf[:0]
	if cap(buf) > maxKeptBuf {
		buf = nil
	}
	*a = answer{buf: buf, body: a.body} // a body keeps its memory until Init
}

// keep holds on to b, which may be the end of what is held already.
func (a *answer) keep(b []byte) { a.buf = append(a.buf[:0], b...) }

// A line is a queue of items, linked by themselves.
type line struct {
	head, tail *item
	n          int
}

func (l *line) push(it *item) {
	if l.tail == nil {
		l.head = it
	} else {
		l.tail.next = it
	}
	l.tail = it
	l.n++
}

func (l *line) pop() *item {
	it := l.head
	if it == nil {
		return nil
	}
	if l.head = it.next; l.head == nil {
		l.tail = nil
	}
	it.next = nil
	l.n--
	return it
}

// An idleList holds sessions with an open connection and nothing to send, longest idle first.
type idleList struct {
	oldest, newest *session
	n              int
}

func (l *idleList) add(s *session) {
	s.idle, s.older, s.newer = true, l.newest, nil
	if l.newest == nil {
		l.oldest = s
	} else {
		l.newest.newer = s
	}
	l.newest = s
	l.n++
}

func (l *idleList) remove(s *session) {
	if !s.idle {
		return
	}
	if s.older == nil {
		l.oldest = s.newer
	} else {
		s.older.newer = s.newer
	}
	if s.newer == nil {
		l.newest = s.older
	} else {
		s.newer.older = s.older
	}
	s.idle, s.older, s.newer = false, nil, nil
	l.n--
}
