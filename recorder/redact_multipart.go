package recorder

import (
	"bytes"

	"github.com/redlane/redlane/internal/escape"
	"github.com/redlane/redlane/traffic"
)

// A partHead is what the head of a part of a multipart body says.
type partHead struct {
	name    []byte // decoded, as it stands in a form; nil: none
	kind    []byte // its Content-Type in lower case
	encoded bool   // base64 or the like
}

// multipart appends a multipart body without secrets. whole is false when the body is not what it says: what
// its parts are is then anybody's guess.
//
//	--boundary␍␊ head ␍␊␍␊ content ␍␊--boundary␍␊ ... ␍␊--boundary--
func (r *redactor) multipart(sc *scratch, dst []byte, m *traffic.Message, o *opened) (out []byte, changed, whole bool) {
	boundary := parameter(m.Get("content-type"), "boundary")
	if len(boundary) == 0 || len(boundary) > 200 {
		return dst, false, false
	}
	rest := o.body
	at, after := nextBoundary(rest, boundary, true)
	if at < 0 {
		return dst, false, false
	}
	changed = len(bytes.TrimSpace(rest[:at])) > 0 // what stands before the parts and behind them is not kept
	for at = after - len(boundary) - 2; ; {
		line := rest[at:after]
		rest = rest[after:]
		if bytes.HasPrefix(rest, []byte("--")) {
			changed = changed || len(bytes.TrimSpace(rest[2:])) > 0
			return append(append(dst, line...), "--\r\n"...), changed, true
		}
		head, content, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !ok {
			// The end of a body that was cut: a head without its content says nothing.
			return append(dst, line...), true, o.cut
		}
		var end int
		if end, after = nextBoundary(content, boundary, false); end < 0 {
			if !o.cut {
				return dst, false, false
			}
			end, after = len(content), len(content)
		}
		at, rest = end, content
		var hit bool
		dst, hit = r.onePart(sc, dst, line, head, content[:end], o.cut && after == len(content))
		changed = changed || hit
		if after == len(content) {
			return dst, changed, o.cut
		}
	}
}

// nextBoundary finds the next line that is a boundary: where its line break begins, and where it ends.
func nextBoundary(b, boundary []byte, first bool) (at, after int) {
	for from := 0; ; {
		i := bytes.Index(b[from:], boundary)
		if i < 0 {
			return -1, -1
		}
		i += from
		from = i + 1
		if i < 2 || b[i-1] != '-' || b[i-2] != '-' || !endsLine(b[i+len(boundary):]) {
			continue
		}
		switch {
		case i >= 4 && b[i-3] == '\n' && b[i-4] == '\r':
			return i - 4, i + len(boundary)
		case i >= 3 && b[i-3] == '\n':
			return i - 3, i + len(boundary)
		case first && i == 2:
			return 0, i + len(boundary)
		}
	}
}

// endsLine reports whether what follows a boundary makes it one.
func endsLine(b []byte) bool {
	b = bytes.TrimLeft(b, " \t")
	return len(b) == 0 || b[0] == '\r' || b[0] == '\n' || bytes.HasPrefix(b, []byte("--"))
}

// onePart appends a part, or what rules leave of it.
func (r *redactor) onePart(sc *scratch, dst, line, head, content []byte, cut bool) (out []byte, changed bool) {
	h := parsePart(sc, head)
	x, hit := choice{}, false
	if h.name != nil {
		if c, ok := r.form[string(bytes.TrimSuffix(h.name, []byte("[]")))]; ok {
			x, hit = c.pick(sc.holds)
		}
	}
	if hit && x.do == DoDrop {
		return dst, true
	}
	dst = append(dst, line...)
	if hit { // of the head only the name is kept: a file's name is part of the secret
		if cut {
			x.do = DoMask
		}
		dst = append(dst, "\r\nContent-Disposition: form-data; name=\""...)
		dst = append(escape.QuoteJSON(dst, h.name), "\"\r\n\r\n"...)
		return append(dst, r.standIn(sc, content, x.do)...), true
	}
	if sc.holds&r.onBodyText != 0 {
		if t, ok := r.matches(sc, head, inBody, false, false); ok {
			sc.key = append(sc.key[:0], t...)
			head, changed = sc.key, true
		}
	}
	dst = append(append(dst, head...), "\r\n\r\n"...)
	body, hid := r.partBody(sc, &h, content, cut)
	return append(dst, body...), changed || hid
}

// partBody redacts the content of a part by its type.
func (r *redactor) partBody(sc *scratch, h *partHead, content []byte, cut bool) (out []byte, changed bool) {
	is := func(kind string) bool { return bytes.Contains(h.kind, []byte(kind)) }
	if h.encoded || is("multipart/") || is("utf-16") || is("utf-32") {
		return mask, true // it cannot be looked into
	}
	if is("image/") || is("audio/") || is("video/") || is("font/") {
		return content, false
	}
	start := bytes.TrimLeft(content, " \t\r\n")
	switch {
	case sc.holds&r.onJSON != 0 && (is("json") || len(start) > 0 && (start[0] == '{' || start[0] == '[')):
		out, hit, whole := r.jsonText(sc, sc.part[:0], content)
		sc.part = keepSmall(out)
		if !whole {
			return mask, true
		}
		if hit {
			content, changed = out, true
		}
	case sc.holds&r.onForms != 0 && is("x-www-form-urlencoded"):
		out, hit := r.pairs(sc, sc.part[:0], content, r.form)
		sc.part = keepSmall(out)
		if hit {
			content, changed = out, true
		}
	}
	if sc.holds&r.onBodyText != 0 && bytes.IndexByte(content[:min(len(content), 512)], 0) < 0 {
		if t, ok := r.bodyText(sc, content, false, cut); ok {
			return t, true
		}
	}
	return content, changed
}

// parsePart reads a head. Its lines may be folded.
func parsePart(sc *scratch, head []byte) (h partHead) {
	for len(head) > 0 {
		end := 0
		for { // to a line break with no white space behind it
			nl := bytes.IndexByte(head[end:], '\n')
			if nl < 0 {
				end = len(head)
				break
			}
			end += nl + 1
			if end == len(head) || head[end] != ' ' && head[end] != '\t' {
				break
			}
		}
		name, value, _ := bytes.Cut(head[:end], []byte(":"))
		head = head[end:]
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		switch {
		case traffic.EqualFold(name, "content-disposition"):
			if n := parameter(value, "name*"); n != nil {
				_, n, _ = bytes.Cut(n, []byte("''"))
				h.name = fold(escape.UnescapeURL(nil, n, false))
			} else if n := parameter(value, "name"); n != nil {
				h.name = fold(append([]byte{}, n...))
			}
			h.name = bytes.TrimSpace(h.name)
		case traffic.EqualFold(name, "content-type"):
			sc.word = fold(append(sc.word[:0], value...))
			h.kind = append([]byte{}, sc.word...)
		case traffic.EqualFold(name, "content-transfer-encoding"):
			h.encoded = h.encoded || !traffic.EqualFold(value, "binary") && !traffic.EqualFold(value, "8bit") && !traffic.EqualFold(value, "7bit")
		case traffic.EqualFold(name, "content-encoding"):
			h.encoded = true
		}
	}
	return h
}

// parameter is the value of a parameter of a header value such as form-data; name="x", without quotes; nil
// when there is none.
func parameter(v []byte, name string) []byte {
	for {
		at := bytes.IndexByte(v, ';')
		if quote := bytes.IndexByte(v, '"'); quote >= 0 && quote < at {
			end := endOfQuoted(v, quote)
			if at = bytes.IndexByte(v[end:], ';'); at >= 0 {
				at += end
			}
		}
		if at < 0 {
			return nil
		}
		v = v[at+1:]
		key, value, ok := bytes.Cut(v, []byte("="))
		if !ok || !traffic.EqualFold(bytes.TrimSpace(key), name) {
			continue
		}
		value = bytes.TrimLeft(value, " \t\r\n")
		if len(value) > 0 && value[0] == '"' {
			raw := value[1:max(1, endOfQuoted(value, 0)-1)]
			if bytes.IndexByte(raw, '\\') < 0 {
				return raw
			}
			out := []byte{}
			for i := 0; i < len(raw); i++ {
				if raw[i] == '\\' && i+1 < len(raw) {
					i++
				}
				out = append(out, raw[i])
			}
			return out
		}
		if end := bytes.IndexAny(value, "; \t\r\n"); end >= 0 {
			value = value[:end]
		}
		if value == nil {
			value = []byte{}
		}
		return value
	}
}

// endOfQuoted is the place behind the quoted text that begins at i.
func endOfQuoted(v []byte, i int) int {
	for i++; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(v)
}
