package rewrite

import (
	"time"
	"unsafe"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A Memory is what the sessions of one loop have learned. One goroutine uses it.
//
//	Request: carry, wire ─► what is sent
//	Head, Body, Response ─► learned, for the session's next request
//	Failed               ─► not learned, and later requests that need it are counted
//
// It holds at most its share of Config.Memory: sessions that were not heard of for longest are forgotten.
type Memory struct {
	rules  *Rules
	shared *shared
	limit  int64
	counts Counts

	young, old map[uint64]*state // by session; what is used moves to young
	bytes      int64             // of young

	clone   int // of the message in hand
	finder  finder
	table   table
	message traffic.Message
	framing http1.Framing
	body    http1.Body
	namer   namer
	json    jsonWalk
	parts   []byte // what replaces parts of a message
	nested  [2][]byte
	text    []byte // a body without its chunks
	opener  opener
	out     []byte
}

// Counts tell what rewriting did. They add up over loops and workers.
type Counts struct {
	Learned     uint64 `json:"learned"`     // values of answers that differ from their recording
	Substituted uint64 `json:"substituted"` // of them, put into later requests
	Unresolved  uint64 `json:"unresolved"`  // recorded values that were sent, because no answer told the one to send
	Replaced    uint64 `json:"replaced"`    // values put in by rules
	Signed      uint64 `json:"signed"`      // signatures made anew
	Unsigned    uint64 `json:"unsigned"`    // that should have been and could not
	Forgotten   uint64 `json:"forgotten"`   // sessions whose values were given up for memory
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Learned += other.Learned
	c.Substituted += other.Substituted
	c.Unresolved += other.Unresolved
	c.Replaced += other.Replaced
	c.Signed += other.Signed
	c.Unsigned += other.Unsigned
	c.Forgotten += other.Forgotten
}

// NewMemory returns the memory of one of so many loops.
func (r *Rules) NewMemory(loops int) *Memory {
	return &Memory{
		rules: r, shared: r.shared, limit: max(1<<20, int64(r.cfg.Memory)/int64(max(loops, 1))/2),
		young: make(map[uint64]*state), old: make(map[uint64]*state),
	}
}

// Counts is what has been done so far.
func (m *Memory) Counts() Counts { return m.counts }

// state is what the session has learned, nil if nothing and not wanted.
func (m *Memory) state(session uint64, wanted bool) *state {
	if s := m.young[session]; s != nil {
		return s
	}
	s := m.old[session]
	switch {
	case s != nil:
		delete(m.old, session)
	case !wanted:
		return nil
	default:
		s = &state{bytes: int64(unsafe.Sizeof(state{})) + 64}
	}
	m.young[session] = s
	m.grow(s.bytes)
	return s
}

// grow notes that young holds n more bytes. When it is full it becomes old, and what was old is forgotten.
func (m *Memory) grow(n int64) {
	if m.bytes += n; m.bytes <= m.limit {
		return
	}
	m.counts.Forgotten += uint64(len(m.old))
	clear(m.old)
	m.young, m.old, m.bytes = m.old, m.young, 0
}

// Request returns what is sent in place of wire at now: in the memory of wire where that is large enough.
func (m *Memory) Request(session uint64, c *Carry, wire []byte, now time.Time) []byte {
	s := m.state(session, false)
	r := m.rules
	names := r.mapped(c.clone) && (c.keyed || len(r.file.Identity) > 0)
	learned := s != nil || m.shared != nil
	if !learned && c.masked && r.cfg.Learn != LearnOff {
		m.counts.Unresolved++
	}
	if !learned && !names && !r.always {
		return wire
	}
	m.clone = c.clone
	if !m.open(wire) {
		return wire
	}
	changed := names && m.identify(c)
	if learned {
		changed = m.substitute(s, c) || changed
	}
	if r.always {
		changed = m.apply(&setting{s: s, c: c, session: session, now: now}) || changed
	}
	if !changed {
		return wire
	}
	return m.write(wire)
}

var limits = http1.Limits{Head: 1 << 20, Headers: 10_000}

// open reads wire into m.message.
func (m *Memory) open(wire []byte) bool {
	m.message.Reset()
	n, err := http1.ParseRequest(wire, &m.message, &m.framing, &limits)
	if err != nil || n == 0 {
		return false
	}
	m.parts = m.parts[:0]
	m.message.Body = wire[n:]
	if m.framing.Kind != http1.Chunked {
		return true
	}
	m.text = m.text[:0]
	m.body.Init(m.framing, nil)
	for rest := wire[n:]; ; {
		data, n, done, err := m.body.Next(rest)
		m.text, rest = append(m.text, data...), rest[n:]
		switch {
		case err != nil || !done && (n == 0 || len(rest) == 0):
			return false
		case done:
			m.message.Body, m.message.Trailers = m.text, m.body.Trailers()
			return true
		}
	}
}

// write makes a request of m.message again. Whatever was learned, it stays one request: else wire is sent.
func (m *Memory) write(wire []byte) []byte {
	m.message.BodySize = int64(len(m.message.Body))
	out, err := http1.AppendRecorded(m.out[:0], &m.message, nil)
	m.message.Body = nil // it is the caller's
	if err != nil {
		return wire
	}
	if m.out = out; cap(m.out) > maxBody {
		m.out = nil
	}
	return append(wire[:0], out...)
}

// Head takes the head of the final response and reports whether its body is wanted.
func (m *Memory) Head(c *Carry, status int, headers []traffic.Header) bool {
	c.got = status
	if !c.wants() || c.extract == 0 && !sameOutcome(c.status, status) {
		return false
	}
	for i := range headers {
		h := headers[i]
		if k := kindOfHeader(h.Name); k == headerSkip && c.extract == 0 && !saysBody(h.Name) {
			continue
		}
		c.headers = append(c.headers, traffic.Header{Name: c.copy(h.Name), Value: c.copy(h.Value)})
	}
	c.keep = c.inBody
	return c.keep
}

// saysBody reports whether a header says how to read the body.
func saysBody(name []byte) bool {
	return traffic.EqualFold(name, "content-type") || traffic.EqualFold(name, "content-encoding")
}

// sameOutcome reports whether two statuses say that the same happened: what an error says is not what an
// answer says.
func sameOutcome(recorded, replayed int) bool {
	return recorded/100 == replayed/100 || recorded < 400 && replayed < 400
}

// Body takes the next bytes of a body that is wanted.
func (m *Memory) Body(c *Carry, b []byte) {
	if c.keep {
		if c.keep = len(c.body)+len(b) <= maxBody; c.keep {
			c.body = append(c.body, b...)
		}
	}
}

// Response learns from the response, which is whole.
func (m *Memory) Response(session uint64, c *Carry) {
	if !c.wants() {
		return
	}
	s := m.state(session, true)
	before := s.bytes
	m.clone = c.clone
	body := m.opener.body(c.headers, c.body)
	if c.extract != 0 {
		m.extract(s, c, body)
	}
	f := &m.finder
	f.begin(false, nil)
	if c.jar {
		f.jar = s.setCookie
	}
	if sameOutcome(c.status, c.got) { // an error does not say what an answer says
		f.headers(c.headers)
		if c.keep {
			t := traffic.Message{Headers: c.headers}
			f.body(t.Get("content-type"), body)
		}
	}
	if f.bearer != nil && c.bearer {
		s.bearer = append(s.bearer[:0], f.bearer...)
	}
	m.learn(s, c)
	m.grow(s.bytes - before)
}

// Failed notes that there is no response.
func (m *Memory) Failed(session uint64, c *Carry) {
	if len(c.leaves) == 0 {
		return
	}
	s := m.state(session, true)
	before := s.bytes
	for i := range c.leaves {
		m.unknown(s, &c.leaves[i])
	}
	m.grow(s.bytes - before)
}
