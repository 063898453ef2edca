package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
)

// substitute puts what was learned into m.message and reports whether it changed anything.
//
//	target    path segments, query
//	headers   Cookie pair by pair, Authorization, entity tags, URLs, all others
//	body      JSON values, form fields, other text; none that is binary or has a content coding
func (m *Memory) substitute(s *state, c *Carry) (changed bool) {
	msg := &m.message
	q := subst{m: m, s: s, resource: resource(msg.Target)}
	q.begin(msg.Target, m.parts)
	q.as = inPath
	q.url(0, len(msg.Target))
	if target, ok := q.end(&m.parts); ok {
		msg.Target, changed = target, true
	}
	for i := range msg.Headers {
		h := &msg.Headers[i]
		kind := kindOfHeader(h.Name)
		if kind == headerSkip || len(h.Value) == 0 {
			continue
		}
		if c.masked && isMask(h.Value) && (kind == headerCookies || kind == headerBasic) {
			if v := m.unmask(s, kind); v != nil {
				h.Value, changed = v, true
			}
			continue
		}
		q.begin(h.Value, m.parts)
		q.as = raw
		q.header(kind, h.Name)
		if v, ok := q.end(&m.parts); ok {
			h.Value, changed = v, true
		}
	}
	if len(msg.Body) == 0 || coded(msg.Headers) {
		return changed
	}
	q.begin(msg.Body, m.parts)
	q.body(msg.Get("content-type"))
	if b, ok := q.end(&m.parts); ok {
		msg.Body, changed = b, true
	}
	return changed
}

// unmask makes a header of credentials whose recorded value was too secret to be stored, from what the
// session was given; nil when it was given nothing.
func (m *Memory) unmask(s *state, kind headerKind) []byte {
	at := len(m.parts)
	switch {
	case s == nil:
	case kind == headerCookies:
		for i := range s.cookies {
			if i > 0 {
				m.parts = append(m.parts, "; "...)
			}
			m.parts = append(append(append(m.parts, s.cookies[i].name...), '='), s.cookies[i].value...)
		}
	case len(s.bearer) > 0:
		m.parts = append(append(m.parts, "Bearer "...), s.bearer...)
	}
	if len(m.parts) == at {
		m.counts.Unresolved++
		return nil
	}
	m.counts.Substituted++
	return m.parts[at:len(m.parts):len(m.parts)]
}

// A subst goes through one part of a request and copies it with learned values in place.
type subst struct {
	m        *Memory
	s        *state
	resource []byte
	as       encoding
	depth    int

	src     []byte
	copied  int // src up to here is in out
	out     []byte
	from    int // where in out it began
	changed bool
}

// encoding is how a value has to be written.
type encoding uint8

const (
	raw encoding = iota
	inPath
	inQuery
	inJSON
)

func (q *subst) begin(src, out []byte) {
	q.src, q.copied, q.out, q.from, q.changed = src, 0, out, len(out), false
}

// end returns the changed copy of src, which stays valid, and leaves the memory it is in to parts.
func (q *subst) end(parts *[]byte) (out []byte, changed bool) {
	if !q.changed {
		return nil, false
	}
	q.out = append(q.out, q.src[q.copied:]...)
	*parts = q.out
	return q.out[q.from:len(q.out):len(q.out)], true
}

// put replaces src[from:to] by what e says, if that is known.
func (q *subst) put(from, to int, e *entry) {
	if e.replayed == nil {
		q.m.counts.Unresolved++
		return
	}
	q.m.counts.Substituted++
	q.cut(from, to)
	switch q.as {
	case raw:
		q.out = append(q.out, e.replayed...)
	case inPath:
		q.out = escape.EscapeURL(q.out, e.replayed, "!$&'()*+,;=:@")
	case inQuery:
		q.out = escape.EscapeURL(q.out, e.replayed, "!$'()*,:@/")
	case inJSON:
		q.out = escape.QuoteJSON(q.out, e.replayed)
	}
}

// cut copies up to from and leaves out what is before to.
func (q *subst) cut(from, to int) {
	q.out = append(q.out, q.src[q.copied:from]...)
	q.copied, q.changed = to, true
}

// find looks v up, by what it means and then by itself.
func (q *subst) find(v []byte, first, second meaning) *entry {
	if s := q.s; s != nil {
		if first != 0 && s.weak > 0 {
			if e := s.lookup(v, first); e != nil {
				return e
			}
			if second != 0 {
				if e := s.lookup(v, second); e != nil {
					return e
				}
			}
		}
		if len(v) < minStrong {
			return nil
		}
		if e := s.lookup(v, 0); e != nil {
			return e
		}
	}
	if q.m.shared != nil && len(v) >= minStrong {
		return q.m.shared.lookup(q.m.clone, v)
	}
	return nil
}

// weak reports whether meanings are worth making.
func (q *subst) weak() bool { return q.s != nil && q.s.weak > 0 }

// value replaces src[from:to] as a whole or what it contains.
func (q *subst) value(from, to int, first, second meaning) {
	v := q.src[from:to]
	if q.as != raw && q.as != inJSON && bytes.IndexByte(v, '%') >= 0 {
		q.encoded(from, to, first, second)
		return
	}
	if e := q.find(v, first, second); e != nil {
		q.put(from, to, e)
		return
	}
	if len(v) > minStrong {
		q.tokens(from, to)
	}
}

// encoded is value for percent-encoded text.
func (q *subst) encoded(from, to int, first, second meaning) {
	if q.depth >= len(q.m.nested) {
		return
	}
	buf := escape.UnescapeURL(q.m.nested[q.depth][:0], q.src[from:to], q.as == inQuery)
	q.m.nested[q.depth] = buf
	inner := subst{m: q.m, s: q.s, resource: q.resource, depth: q.depth + 1}
	inner.begin(buf, nil)
	inner.value(0, len(buf), first, second)
	if isURL(buf) && !inner.changed {
		inner.url(0, len(buf))
	}
	var mem []byte
	if out, ok := inner.end(&mem); ok {
		q.cut(from, to)
		q.out = escape.EscapeURL(q.out, out, "")
	}
}
