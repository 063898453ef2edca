package rewrite

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// A change makes the new text of a value: it appends to dst, or says that there is none. old is decoded.
type change func(dst, old []byte) (out []byte, ok bool)

// edit changes the values at p in m.message and reports whether there was one.
func (m *Memory) edit(p *Place, f change) (changed bool) {
	msg := &m.message
	switch p.kind {
	case atHeader:
		for i := range msg.Headers {
			if h := &msg.Headers[i]; traffic.EqualFold(h.Name, p.name) {
				if v, ok := m.changed(h.Value, f); ok && sendable(v) {
					h.Value, changed = v, true
				}
			}
		}
		return changed
	case atCookie:
		for i := range msg.Headers {
			if h := &msg.Headers[i]; traffic.EqualFold(h.Name, "cookie") {
				if v, ok := m.editPairs(h.Value, 0, len(h.Value), ';', p.name, raw, f); ok {
					h.Value, changed = v, true
				}
			}
		}
		return changed
	case atPath, atQuery:
		var target []byte
		if target, changed = m.editTarget(p, f); changed {
			msg.Target = target
		}
		return changed
	}
	if len(msg.Body) == 0 || coded(msg.Headers) {
		return false
	}
	var body []byte
	switch kind := bodyKind(msg.Get("content-type"), msg.Body); {
	case p.kind == atForm && kind == bodyForm:
		body, changed = m.editPairs(msg.Body, 0, len(msg.Body), '&', p.name, inQuery, f)
	case p.kind == atJSON && kind == bodyJSON:
		body, changed = m.editJSON(msg.Body, p, f)
	}
	if changed {
		msg.Body = body
	}
	return changed
}

// changed is what f makes of v, in m.parts.
func (m *Memory) changed(v []byte, f change) ([]byte, bool) {
	at := len(m.parts)
	out, ok := f(m.parts, v)
	if !ok {
		return nil, false
	}
	m.parts = out
	return out[at:len(out):len(out)], true
}

func (m *Memory) editTarget(p *Place, f change) (out []byte, ok bool) {
	target := m.message.Target
	end := bytes.IndexByte(target, '?')
	if p.kind == atQuery {
		if end < 0 {
			return nil, false
		}
		return m.editPairs(target, end+1, len(target), '&', p.name, inQuery, f)
	}
	if end < 0 {
		end = len(target)
	}
	from, to, ok := p.segment(target[:end])
	if !ok {
		return nil, false
	}
	value, ok := m.changed(escape.UnescapeURL(nil, target[from:to], false), f)
	if !ok || len(value) == 0 {
		return nil, false
	}
	at := len(m.parts)
	m.parts = append(m.parts, target[:from]...)
	m.parts = escape.EscapeURL(m.parts, value, "!$&'()*+,;=:@")
	m.parts = append(m.parts, target[to:]...)
	return m.parts[at:len(m.parts):len(m.parts)], true
}

// editPairs changes the value of a key among key=value pairs in src[from:to], and copies the rest of src.
func (m *Memory) editPairs(src []byte, from, to int, sep byte, name string, as encoding, f change) (out []byte, ok bool) {
	copied := 0
	var dst []byte
	for i := from; i < to; {
		end := to
		if n := bytes.IndexByte(src[i:to], sep); n >= 0 {
			end = i + n
		}
		for i < end && src[i] == ' ' {
			i++
		}
		key, value, pair := bytes.Cut(src[i:end], equals)
		if as == inQuery && bytes.IndexByte(key, '%') >= 0 {
			key = escape.UnescapeURL(nil, key, true)
		}
		if pair && string(key) == name {
			if as == inQuery {
				value = escape.UnescapeURL(nil, value, true)
			}
			if v, does := m.changed(value, f); does && (as == inQuery || sendable(v) && bytes.IndexByte(v, ';') < 0) {
				eq := i + bytes.IndexByte(src[i:end], '=')
				dst = append(dst, src[copied:eq+1]...)
				if as == inQuery {
					dst = escape.EscapeURL(dst, v, "!$'()*,:@/")
				} else {
					dst = append(dst, v...)
				}
				copied, ok = end, true
			}
		}
		i = end + 1
	}
	if !ok {
		return nil, false
	}
	return append(dst, src[copied:]...), true
}

// editJSON changes the strings and numbers at p. A number stays one if the new text is a number.
func (m *Memory) editJSON(src []byte, p *Place, f change) (out []byte, ok bool) {
	copied := 0
	var dst []byte
	w := &m.json
	w.walk(src, func(v jsonValue) {
		if !p.matches(w) {
			return
		}
		text, does := m.changed(w.decoded(src, v), f)
		if !does {
			return
		}
		dst = append(dst, src[copied:v.from]...)
		switch {
		case !v.number:
			dst = escape.QuoteJSON(dst, text)
		case isNumber(text):
			dst = append(dst, text...)
		default:
			dst = append(escape.QuoteJSON(append(dst, '"'), text), '"')
		}
		copied, ok = v.to, true
	})
	if !ok {
		return nil, false
	}
	return append(dst, src[copied:]...), true
}

// isNumber reports whether v is a whole JSON number.
func isNumber(v []byte) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	if len(v) == 0 || len(v) > 1 && v[0] == '0' {
		return false
	}
	for _, c := range v {
		if kindOf(c) != digit {
			return false
		}
	}
	return true
}

// set gives the request exactly one header with this value; nil takes it out.
func (m *Memory) set(name string, value []byte) {
	hs := m.message.Headers
	kept, put := hs[:0], false
	for i := range hs {
		if !traffic.EqualFold(hs[i].Name, name) {
			kept = append(kept, hs[i])
			continue
		}
		if value != nil {
			kept = append(kept, traffic.Header{Name: hs[i].Name, Value: value})
			value, put = nil, true
		}
	}
	if value != nil && !put {
		kept = append(kept, traffic.Header{Name: []byte(name), Value: value})
	}
	m.message.Headers = kept
}
