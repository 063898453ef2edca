package rewrite

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// apply does what the file says, when names and learned values are in place:
//
//	remove ─► replace ─► shift ─► sign
func (m *Memory) apply(in *setting) (changed bool) {
	f := m.rules.file
	msg := &m.message
	for _, name := range f.Remove {
		if msg.Get(name) != nil {
			m.set(name, nil)
			changed = true
		}
	}
	for i := range f.Replace {
		in.rule = uint64(i)
		changed = m.replace(&f.Replace[i], in) || changed
	}
	if len(f.Shift) > 0 {
		d := time.Duration(in.now.UnixNano() - in.c.start)
		shift := func(dst, old []byte) ([]byte, bool) { return shiftTime(dst, old, d) }
		changed = m.edit(&dateHeader, shift) || changed
		for i := range f.Shift {
			if p := &f.Shift[i]; p.kind != atHeader || !traffic.EqualFold([]byte(p.name), dateHeader.name) {
				changed = m.edit(p, shift) || changed
			}
		}
	}
	for i := range f.Sign {
		sig := &f.Sign[i]
		if !sig.When.holds(msg.Method, msg.Target) {
			continue
		}
		switch did, ok := sig.by.sign(m, in); {
		case did:
			m.counts.Signed++
			changed = true
		case !ok:
			m.counts.Unsigned++
		}
	}
	return changed
}

var dateHeader = Place{kind: atHeader, name: "date"}

func (m *Memory) replace(r *Replace, in *setting) bool {
	msg := &m.message
	if !r.When.holds(msg.Method, msg.Target) {
		return false
	}
	at := len(m.parts)
	value, ok := m.expand(m.parts, &r.template, in)
	if !ok {
		m.counts.Unresolved++
		return false
	}
	m.parts = value
	value = value[at:len(value):len(value)]
	var did bool
	if r.place.kind == atHeader {
		if did = sendable(value); did {
			m.set(r.place.name, value)
		}
	} else {
		did = m.edit(&r.place, func(dst, _ []byte) ([]byte, bool) { return append(dst, value...), true })
	}
	if did {
		m.counts.Replaced++
	}
	return did
}

// extract keeps what the file wants of the response that c holds; body is without its coding.
func (m *Memory) extract(s *state, c *Carry, body []byte) {
	f := m.rules.file
	for i := range f.Extract {
		if c.extract&(1<<i) == 0 {
			continue
		}
		e := &f.Extract[i]
		var v []byte
		switch e.place.kind {
		case atHeader:
			for k := range c.headers {
				if traffic.EqualFold(c.headers[k].Name, e.Header) {
					v = c.headers[k].Value
					break
				}
			}
		case atJSON:
			v = m.jsonAt(body, &e.place)
		default:
			if g := e.regex.FindSubmatch(body); g != nil {
				v = g[len(g)-1]
				if len(g) > 1 {
					v = g[1]
				}
			}
		}
		if len(v) > 0 && len(v) <= maxValue {
			s.setVar(m.rules.vars[i], v)
		}
	}
}

// jsonAt is the text of the first value at p.
func (m *Memory) jsonAt(body []byte, p *Place) (found []byte) {
	w := &m.json
	w.walk(body, func(v jsonValue) {
		if found == nil && p.matches(w) {
			found = w.decoded(body, v)
			if v.escaped {
				found = append([]byte(nil), found...)
			}
		}
	})
	return found
}

// setVar keeps the value of a variable.
func (s *state) setVar(i int, v []byte) {
	for len(s.vars) <= i {
		s.vars = append(s.vars, nil)
	}
	s.bytes += int64(len(v) - len(s.vars[i]))
	s.vars[i] = append(s.vars[i][:0:0], v...)
}
