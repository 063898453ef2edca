package http1

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redlane/redlane/traffic"
)

// A stream reads one side of a connection the way a session machine does: it is fed pieces, keeps what is
// not yet a complete head, and writes down what it read. The whole report of a stream is a string, so that
// two ways of splitting the same bytes are compared by comparing two strings.
type stream struct {
	methods []string // responses only: the requests that are answered, GET after the last
	server  bool     // reads requests
	lim     *Limits

	buf      []byte
	from     int
	m        traffic.Message
	f        Framing
	d        Body
	inBody   bool
	body     []byte
	answered int

	out   []string
	over  bool // nothing more is read
	heads []traffic.Message
}

func (s *stream) method() string {
	if s.answered < len(s.methods) {
		return s.methods[s.answered]
	}
	return "GET"
}

func (s *stream) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

func (s *stream) refuse(err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		panic(fmt.Sprintf("BUG: refused with %T: %v", err, err))
	}
	s.say("refuse %d %s", e.Status, e.Cause)
	s.over = true
}

// feed takes the next piece. Like a real caller it copies the piece only while a head is incomplete.
func (s *stream) feed(piece []byte) {
	if s.over {
		return
	}
	if s.inBody {
		piece = s.feedBody(piece)
		if s.over || len(piece) == 0 {
			return
		}
	}
	s.buf = append(s.buf, piece...)
	for !s.over && len(s.buf) > 0 {
		if s.from > 0 {
			var end int
			if end, s.from = HeadEnd(s.buf, s.from); end == 0 && len(s.buf) <= s.lim.head() {
				return
			}
		}
		var n int
		var err error
		if s.server {
			n, err = ParseRequest(s.buf, &s.m, &s.f, s.lim)
		} else {
			n, err = ParseResponse(s.buf, []byte(s.method()), &s.m, &s.f, s.lim)
		}
		if err != nil {
			s.refuse(err)
			return
		}
		if n == 0 {
			_, s.from = HeadEnd(s.buf, s.from)
			return
		}
		s.m = clone(&s.m)
		rest := append([]byte(nil), s.buf[n:]...)
		s.buf, s.from = s.buf[:0], 0
		s.d.Init(s.f, s.lim)
		s.inBody, s.body = true, nil
		s.buf = append(s.buf, s.feedBody(rest)...)
	}
}

// feedBody passes b through the body and returns what belongs to the next message.
func (s *stream) feedBody(b []byte) []byte {
	for {
		data, n, done, err := s.d.Next(b)
		s.body = append(s.body, data...)
		if err != nil {
			s.refuse(err)
			return nil
		}
		if !done && n == 0 && len(b) > 0 {
			panic("Next consumed nothing")
		}
		b = b[n:]
		if done {
			s.message()
			return b
		}
		if len(b) == 0 {
			return nil
		}
	}
}

func (s *stream) eof() string {
	// HeadEnd may have held back a head that is already known to be bad; the caller would have learnt it
	// with the next bytes.
	if !s.over && !s.inBody && s.from > 0 {
		s.from = 0
		s.feed(nil)
	}
	switch {
	case s.over:
	case s.inBody:
		if done, _ := s.d.AtEOF(); done {
			s.message()
			s.say("end")
		} else {
			s.say("cut in a body")
		}
	case len(s.buf) > 0:
		s.say("cut in a head")
	default:
		s.say("end")
	}
	return strings.Join(s.out, "\n")
}

// message writes down the message that has just ended.
func (s *stream) message() {
	m, f := &s.m, &s.f
	var b strings.Builder
	if s.server {
		fmt.Fprintf(&b, "%s %q 1.%d", m.Method, m.Target, m.Minor)
	} else {
		fmt.Fprintf(&b, "%d %q 1.%d", m.Status, m.Reason, m.Minor)
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&b, " | %s: %q", h.Name, h.Value)
	}
	fmt.Fprintf(&b, " | %s", f.Kind)
	if f.Kind != NoBody {
		fmt.Fprintf(&b, " %q", s.body)
	}
	for _, h := range s.d.Trailers() {
		fmt.Fprintf(&b, " | trailer %s: %q", h.Name, h.Value)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{f.Close, "close"}, {f.Expect100, "expect"}, {f.Upgrade, "upgrade"}, {f.LooseSpace, "loose"}} {
		if flag.on {
			b.WriteString(" | " + flag.name)
		}
	}
	s.say("%s", b.String())
	kept := clone(m)
	kept.Body = s.body
	for _, t := range s.d.Trailers() {
		kept.Trailers = append(kept.Trailers, traffic.Header{Name: append([]byte(nil), t.Name...), Value: append([]byte(nil), t.Value...)})
	}
	s.heads = append(s.heads, kept)
	s.inBody = false
	if s.server || m.Status >= 200 || f.Kind == Tunnel {
		s.answered++
	}
}

// clone copies a message out of the buffer it points into.
func clone(m *traffic.Message) traffic.Message {
	c := *m
	dup := func(b []byte) []byte { return append([]byte(nil), b...) }
	c.Method, c.Target, c.Reason = dup(m.Method), dup(m.Target), dup(m.Reason)
	c.Headers, c.Trailers, c.Body = nil, nil, nil
	for _, h := range m.Headers {
		c.Headers = append(c.Headers, traffic.Header{Name: dup(h.Name), Value: dup(h.Value)})
	}
	return c
}

// read feeds b in the pieces that end at cuts, which ascend, and returns the report.
func (s *stream) read(b []byte, cuts ...int) string {
	at := 0
	for _, c := range append(cuts, len(b)) {
		if c > at {
			// A copy that is dirtied afterwards: nothing may be kept of a piece.
			piece := append([]byte(nil), b[at:c]...)
			s.feed(piece)
			for i := range piece {
				piece[i] = 0xCC
			}
			at = c
		}
	}
	return s.eof()
}
