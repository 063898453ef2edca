package replayer

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
)

// A session replays the exchanges of one recorded session, one after the other, on a connection of its
// own. It is kept while it has a connection or something to send.
//
//	          dial              OnDial            first request          answer, more waiting
//	closed ─────────► dialling ────────► open idle ────────────► busy ──┐ ◄──────────────────┘
//	   ▲                  │                  │ ▲                   │     └─ answer, nothing waiting ─► idle
//	   └── OnClosed ──────┘◄─ close, reset ──┘ └───────────────────┘
type session struct {
	id    uint64
	h     engine.Handle
	state state
	had   bool // a connection, before this one

	now, head, tail *item         // the request on its way, and those waiting for it
	freeAt          time.Duration // when it was last answered or connected
	kept            bool          // the connection is older than the request on its way
	recordedEnd     int64         // of the latest exchange, to tell pipelined ones

	answer answer

	older, newer *session // idle sessions of the loop
	idle         bool
}

type state uint8

const (
	closed state = iota
	dialling
	open
)

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

func (s *session) push(it *item) {
	if s.tail == nil {
		s.head = it
	} else {
		s.tail.next = it
	}
	s.tail = it
}

func (s *session) pop() *item {
	it := s.head
	if it == nil {
		return nil
	}
	if s.head = it.next; s.head == nil {
		s.tail = nil
	}
	it.next = nil
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
