package http1

import (
	"strconv"

	"github.com/redlane/redlane/traffic"
)

// AppendRequest writes the head of a parsed request for the next hop. What is about the connection it came
// over ends here; the framing header says what f says and stands where the original stood; edits are
// applied as traffic.Exchange.Edits describes; order and case of the rest are kept. f.Close is about the
// connection that is written to. m must come from ParseRequest; a bad edit panics, see CheckEdit.
//
// Two things are not kept, because the next hop is the service itself: an absolute target goes on as a
// path (RFC 9112 §3.2.1), whose authority is the Host that is there already; and the version is HTTP/1.1,
// as RFC 9110 §6.2 asks of intermediaries. Only an HTTP/1.0 request that names no host stays HTTP/1.0,
// because many servers refuse the empty Host that HTTP/1.1 would then require.
func AppendRequest(dst []byte, m *traffic.Message, edits []traffic.Header, f Framing) []byte {
	if f.Kind == UntilClose || f.Kind == Tunnel || f.Length < 0 || (f.Kind == Chunked || f.Length > 0) && string(m.Method) == "CONNECT" {
		panic("BUG: a request cannot have a body of kind " + f.Kind.String() + ", length " + strconv.FormatInt(f.Length, 10))
	}
	mustEdits(edits)
	version := " HTTP/1.1\r\n"
	var host []byte
	addHost := false
	if m.Minor == 0 && !hasHost(m.Headers) && !hasHost(edits) {
		_, host, addHost = splitAbsolute(m.Target)
		if addHost = addHost || f.Kind == Chunked; !addHost {
			version = " HTTP/1.0\r\n"
			f.KeepAlive = true
		}
	}
	dst = append(dst, m.Method...)
	dst = append(dst, ' ')
	if len(m.Target) > 0 && m.Target[0] == '/' {
		dst = append(dst, m.Target...)
	} else {
		dst = appendOriginForm(dst, m)
	}
	dst = append(dst, version...)
	if addHost {
		dst = appendLine(dst, []byte("Host"), host)
	}
	return appendHeaders(dst, m.Headers, edits, f, connection(f), false)
}

// appendOriginForm writes the path and query of an absolute target, and any other target as it is.
func appendOriginForm(dst []byte, m *traffic.Message) []byte {
	scheme, authority, ok := splitAbsolute(m.Target)
	if !ok {
		return append(dst, m.Target...)
	}
	rest := m.Target[len(scheme)+len("://")+len(authority):]
	switch {
	case len(rest) == 0 && string(m.Method) == "OPTIONS":
		return append(dst, '*') // RFC 9112 §3.2.4
	case len(rest) == 0 || rest[0] == '?':
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}

// AppendResponse writes the head of a parsed response for the client, by the same rules; f usually comes
// from Framing.ForClient. It is always HTTP/1.1: what an HTTP/1.0 client needs to know stands in Connection.
// NoBody is for the answer to HEAD, 1xx, 204 and 304. There a Content-Length of m stays, because it
// describes a body that does not follow, except in 1xx and 204, which may have none.
func AppendResponse(dst []byte, m *traffic.Message, edits []traffic.Header, f Framing) []byte {
	bodiless := m.Status < 200 || m.Status == 204
	if m.Status < 100 || m.Status > 999 || f.Length < 0 || bodiless && f.Kind != NoBody && f.Kind != Tunnel && (f.Kind != Length || f.Length > 0) {
		panic("BUG: a response " + strconv.Itoa(m.Status) + " cannot have a body of kind " + f.Kind.String() + ", length " + strconv.FormatInt(f.Length, 10))
	}
	mustEdits(edits)
	if bodiless && f.Kind == Length {
		f.Kind = NoBody
	}
	f.Upgrade = m.Status == 101
	conn := ""
	switch {
	case f.Upgrade:
		conn = "upgrade"
	case m.Status < 200 || f.Kind == Tunnel:
	case f.Kind == UntilClose:
		conn = "close"
	default:
		conn = connection(f)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(m.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, m.Reason...)
	dst = append(dst, '\r', '\n')
	return appendHeaders(dst, m.Headers, edits, f, conn, !bodiless)
}

// connection is the value of the Connection line that f asks for; empty means no line.
func connection(f Framing) string {
	switch {
	case f.Close && f.Upgrade:
		return "close, upgrade"
	case f.Close:
		return "close"
	case f.Upgrade:
		return "upgrade"
	case f.KeepAlive:
		return "keep-alive"
	}
	return ""
}

func hasHost(hs []traffic.Header) bool {
	for i := range hs {
		if len(hs[i].Name) == 4 && traffic.EqualFold(hs[i].Name, "host") {
			return true
		}
	}
	return false
}

// appendHeaders writes the lines of hs as they are to stand after this hop, and the empty line.
// conn is the value of Connection, keepLength lets a Content-Length stay when there is no body.
func appendHeaders(dst []byte, hs, edits []traffic.Header, f Framing, conn string, keepLength bool) []byte {
	var e editor
	e.start(edits, nil)
	others := namesOthers(hs)
	framed := f.Kind != Length && f.Kind != Chunked && (f.Kind != NoBody || !keepLength)
	for i := range hs {
		h := &hs[i]
		switch hopByHop(h.Name) {
		case framing:
			if !framed {
				dst, framed = appendFraming(dst, h, f)
			}
			continue
		case manages:
			if conn != "" {
				dst = append(dst, h.Name...)
				dst = append(dst, ": "...)
				dst = append(dst, conn...)
				dst = append(dst, '\r', '\n')
				conn = ""
			}
			continue
		case ends:
			continue
		case asks:
			if f.Upgrade {
				dst = appendLine(dst, h.Name, h.Value)
			}
			continue
		}
		if len(edits) > 0 {
			var edited bool
			if dst, edited = e.replace(dst, h.Name); edited {
				continue
			}
		}
		if others && named(hs, h.Name) {
			continue
		}
		dst = appendLine(dst, h.Name, h.Value)
	}
	dst = e.rest(dst)
	if !framed {
		dst, _ = appendFraming(dst, nil, f)
	}
	if conn != "" {
		dst = append(dst, "Connection: "...)
		dst = append(dst, conn...)
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '\r', '\n')
}

// appendFraming writes the one framing line. orig is the line that stood in its place, or nil; its name
// keeps its case when it stays the same name. done is false when there was nothing to write.
func appendFraming(dst []byte, orig *traffic.Header, f Framing) (out []byte, done bool) {
	switch f.Kind {
	case Length:
		if orig != nil && len(orig.Name) == len("Content-Length") {
			dst = append(dst, orig.Name...)
		} else {
			dst = append(dst, "Content-Length"...)
		}
		dst = append(dst, ": "...)
		dst = strconv.AppendInt(dst, f.Length, 10)
	case Chunked:
		if orig != nil && len(orig.Name) == len("Transfer-Encoding") {
			dst = append(dst, orig.Name...)
		} else {
			dst = append(dst, "Transfer-Encoding"...)
		}
		dst = append(dst, ": chunked"...)
	default:
		if orig == nil || len(orig.Name) != len("Content-Length") {
			return dst, false
		}
		return appendLine(dst, orig.Name, orig.Value), true
	}
	return append(dst, '\r', '\n'), true
}
