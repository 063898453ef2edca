package recorder

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/redlane/redlane/internal/wire/coding"
	"github.com/redlane/redlane/traffic"
)

// opened is a body as rules look at it.
type opened struct {
	done   bool // for this exchange
	kind   bodyKind
	body   []byte // without content coding
	coded  bool   // it had one
	cut    bool   // its end is not there
	closed bool   // it cannot be looked into
}

// open undoes the content coding of m, once for an exchange.
func (r *redactor) open(sc *scratch, m *traffic.Message, n int, cut traffic.Flags) *opened {
	o := &sc.opened[n]
	if o.done {
		return o
	}
	*o = opened{done: true, body: m.Body, cut: sc.x.Flags.Has(cut)}
	ok := true
	if coding.Encoded(m) {
		o.coded = true
		o.body, o.cut, ok = sc.codings.Decode(m, n, r.decodeLimit, o.cut)
	}
	if !ok {
		o.kind, o.closed = closedBody, true
		return o
	}
	o.kind = kindOf(sc, m, o.body)
	o.closed = o.kind == closedBody || o.kind == scriptBody && sc.holds&(r.onJSON|r.onForms) != 0
	return o
}

// body takes secrets out of a body that rules apply to.
func (r *redactor) body(sc *scratch, m *traffic.Message, n int, cut traffic.Flags) (changed bool) {
	if len(m.Body) == 0 {
		return false
	}
	if _, drop := r.whole[n].pick(sc.holds); drop {
		m.Body = nil
		sc.x.Flags |= cut
		return true
	}
	if !r.wants(sc, kindByType(sc, m)) {
		return false
	}
	o := r.open(sc, m, n, cut)
	if !r.wants(sc, o.kind) {
		return false
	}
	out, whole := sc.body[n][:0], true
	if !o.closed {
		out, changed, whole = r.content(sc, out, m, o)
		sc.body[n] = keepSmall(out)
	}
	if o.closed || !whole && o.kind == multipartBody {
		if r.keepEncoded {
			return false
		}
		m.Body = nil
		sc.x.Flags |= cut
		r.hidden.Add(1)
		return true
	}
	if !changed && whole && !o.coded {
		return false
	}
	if !changed && whole {
		out = o.body
	}
	r.replaceBody(sc, m, n, cut, out, whole && !(o.cut && !sc.x.Flags.Has(cut)))
	sc.shrink(len(out))
	return true
}

// shrink lets go of what a giant body of n bytes needed.
func (sc *scratch) shrink(n int) {
	sc.codings.Shrink()
	if n > 1<<20 {
		sc.json, sc.text, sc.quoted, sc.part, sc.word = jsonRedactor{}, [2][]byte{}, nil, nil, nil
	}
}

// replaceBody makes out the body of m, and the lines that speak of it right. whole is false where the end of
// what there was is missing now.
func (r *redactor) replaceBody(sc *scratch, m *traffic.Message, n int, cut traffic.Flags, out []byte, whole bool) {
	complete := !sc.x.Flags.Has(cut) && m.BodySize == int64(len(m.Body))
	for i := 0; i < len(m.Headers); i++ {
		if sc.opened[n].coded && traffic.EqualFold(m.Headers[i].Name, "content-encoding") {
			sc.lines[2*n] = removeLine(&m.Headers, sc.lines[2*n], i)
			i--
		}
	}
	m.Body = out
	switch {
	case !whole:
		sc.x.Flags |= cut
		m.BodySize = max(m.BodySize, int64(len(out))+1)
	case complete:
		m.BodySize = int64(len(out))
		sc.length[n] = strconv.AppendInt(sc.length[n][:0], m.BodySize, 10)
		for i := range m.Headers {
			if traffic.EqualFold(m.Headers[i].Name, "content-length") {
				sc.lines[2*n] = replaceLine(&m.Headers, sc.lines[2*n], i, sc.length[n])
			}
		}
	case sc.x.Flags.Has(cut): // before us: the true size is known only of what was on the wire
		m.BodySize = max(m.BodySize, int64(len(out))+1)
	}
}

// content appends the body without secrets. whole is false when it had to stop before the end.
func (r *redactor) content(sc *scratch, dst []byte, m *traffic.Message, o *opened) (out []byte, changed, whole bool) {
	if o.kind == multipartBody {
		return r.multipart(sc, dst, m, o)
	}
	out, body, whole := dst, o.body, true
	switch {
	case o.kind == jsonBody && sc.holds&r.onJSON != 0:
		out, changed, whole = r.jsonText(sc, dst, body)
	case o.kind == formBody && sc.holds&r.onForms != 0:
		out, changed = r.pairs(sc, dst, body, r.form)
	}
	if sc.holds&r.onBodyText == 0 {
		return out, changed, whole
	}
	if changed || !whole {
		body = out[len(dst):]
	}
	if t, ok := r.bodyText(sc, body, o.kind == formBody, o.cut || !whole); ok {
		out, changed = append(dst, t...), true
	}
	return out, changed, whole
}

func (r *redactor) jsonText(sc *scratch, dst, body []byte) (out []byte, changed, whole bool) {
	j := &sc.json
	j.r, j.sc, j.rules, j.base, j.level = r, sc, &r.json, 0, 0
	return j.redact(dst, body)
}

// wants reports whether a rule that holds has to do with bodies of a kind.
func (r *redactor) wants(sc *scratch, kind bodyKind) bool {
	on := r.onBodyText
	switch kind {
	case binaryBody:
		return false
	case jsonBody:
		on |= r.onJSON
	case formBody:
		on |= r.onForms
	case multipartBody, scriptBody, closedBody, anyBody:
		on |= r.onJSON | r.onForms
	}
	return sc.holds&on != 0
}

// keepSmall lets a giant body's memory go once it has been encoded.
func keepSmall(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b
}

type bodyKind uint8

const (
	jsonBody      bodyKind = iota // says so, or is text that may be
	formBody                      // key=value&key=value
	multipartBody                 // parts between boundaries
	scriptBody                    // text that may hold JSON in a shape that is not looked into
	closedBody                    // text in a shape that is not looked into at all
	textBody                      // other text
	binaryBody                    // holds none of these
	anyBody                       // not known before it is decoded
)

// kindByType is what the head of m says of its body.
func kindByType(sc *scratch, m *traffic.Message) bodyKind {
	sc.key = fold(append(sc.key[:0], m.Get("content-type")...))
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return bytes.Contains(sc.key, []byte(p)) })
	}
	switch {
	case len(sc.key) == 0:
		return anyBody
	case has("utf-16", "utf-32"):
		return closedBody
	case has("json"):
		return jsonBody
	case has("application/x-www-form-urlencoded"):
		return formBody
	case has("multipart/"):
		return multipartBody
	case has("event-stream", "javascript", "ecmascript"):
		return scriptBody
	case has("image/", "audio/", "video/", "font/"):
		return binaryBody
	}
	return anyBody
}

// kindOf looks into the body where its head does not say what it is.
func kindOf(sc *scratch, m *traffic.Message, body []byte) bodyKind {
	if kind := kindByType(sc, m); kind != anyBody {
		return kind
	}
	b := bytes.TrimLeft(bytes.TrimPrefix(body, byteOrderMark), " \t\r\n")
	switch {
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		return jsonBody
	case bytes.IndexByte(b[:min(len(b), 512)], 0) >= 0:
		return binaryBody
	}
	return textBody
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// fold makes b lower case: in place, unless letters outside ASCII make it longer.
func fold(b []byte) []byte {
	ascii := true
	for i, c := range b {
		b[i] = lowerByte(c)
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return b
	}
	return append(b[:0], bytes.ToLower(b)...)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
