package codec

import (
	"bytes"
	"strconv"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A Writer writes messages as they were on the wire, as far as the recording knows: a chunked body becomes one
// chunk. What it writes it reads again, and refuses what does not come back.
type Writer struct {
	// Split is a text that must not stand in a body as it is: chunks are cut inside it. Empty: nothing is.
	Split []byte
	// Forbidden is what must not stand in what is written, not even across its end and the byte that follows it.
	Forbidden []byte
	Notes     *Notes

	p    Parser
	back traffic.Message
	body []byte // of chunked messages read again
}

// Why a Writer refuses.
const (
	refusedProtocol  = "protocol"  // it is no HTTP/1 message
	refusedFraming   = "framing"   // its body would not end where it does
	refusedHeader    = "header"    // a header line would not come back as it is
	refusedSeparator = "separator" // it holds the separator of the format, and cannot be chunked
)

// Request appends m to dst. cut says that m's body is shorter than it was.
func (w *Writer) Request(dst []byte, m *traffic.Message, cut bool) ([]byte, error) {
	at := len(dst)
	dst = append(append(append(append(dst, m.Method...), ' '), m.Target...), " HTTP/1."...)
	dst = append(strconv.AppendUint(dst, uint64(m.Minor), 10), '\r', '\n')
	f := framingOf(m)
	if f == http1.UntilClose {
		f = http1.NoBody
		if len(m.Body) > 0 {
			f = http1.Length
		}
	}
	dst, err := w.message(dst, m, f, cut, at)
	if err != nil {
		return dst[:at], err
	}
	n, whole, err := w.p.Request(dst[at:], &w.back, w.body)
	return w.compare(dst, at, n, whole, err, m, cut)
}

// Response appends m, the response to a request with this method.
func (w *Writer) Response(dst []byte, m *traffic.Message, method []byte, cut bool) ([]byte, error) {
	at := len(dst)
	dst = append(strconv.AppendUint(append(dst, "HTTP/1."...), uint64(m.Minor), 10), ' ')
	dst = append(append(strconv.AppendInt(dst, int64(m.Status), 10), ' '), m.Reason...)
	dst = append(dst, '\r', '\n')
	f := framingOf(m)
	if m.Status < 200 || m.Status == 204 || m.Status == 304 || string(method) == "HEAD" || string(method) == "CONNECT" && m.Status < 300 {
		f = http1.Tunnel // the head only; whatever its headers say stays
	}
	dst, err := w.message(dst, m, f, cut, at)
	if err != nil {
		return dst[:at], err
	}
	n, whole, err := w.p.Response(dst[at:], method, &w.back, w.body)
	return w.compare(dst, at, n, whole, err, m, cut)
}

func framingOf(m *traffic.Message) http1.BodyKind {
	kind := http1.UntilClose
	for i := range m.Headers {
		switch name := m.Headers[i].Name; {
		case m.Minor == 1 && traffic.EqualFold(name, "transfer-encoding"):
			return http1.Chunked
		case traffic.EqualFold(name, "content-length"):
			kind = http1.Length
		}
	}
	return kind
}

// message appends headers and body. The start line stands at dst[at:].
func (w *Writer) message(dst []byte, m *traffic.Message, f http1.BodyKind, cut bool, at int) ([]byte, error) {
	chunk := false
	if len(w.Split) > 0 && bytes.Contains(m.Body, w.Split) && f != http1.Chunked {
		if chunk = w.forbidden(m.Body); chunk && (m.Minor == 0 || cut || f == http1.Tunnel) {
			return dst, &Refusal{refusedSeparator}
		}
	}
	framed := f != http1.Length && !chunk
	for i := range m.Headers {
		h := &m.Headers[i]
		if !framed && traffic.EqualFold(h.Name, "content-length") {
			framed = true
			switch n, err := strconv.ParseInt(string(h.Value), 10, 64); {
			case chunk:
				dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
				continue
			case err == nil && n != int64(len(m.Body)) && !cut:
				dst = appendLength(dst, len(m.Body))
				w.Notes.Note("content-length made right")
				continue
			}
		}
		dst = append(append(append(dst, h.Name...), ": "...), h.Value...)
		dst = append(dst, '\r', '\n')
	}
	switch {
	case framed:
	case chunk:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	default:
		dst = appendLength(dst, len(m.Body))
		w.Notes.Note("content-length added")
	}
	dst = append(dst, '\r', '\n')
	switch {
	case f == http1.Chunked && cut:
		if m.BodySize <= int64(len(m.Body)) {
			return dst, &Refusal{refusedFraming}
		}
		dst = append(strconv.AppendInt(dst, m.BodySize, 16), '\r', '\n')
		dst = append(dst, m.Body...)
	case f == http1.Chunked, chunk:
		if chunk {
			w.Notes.Note("chunked for the separator in its body")
		}
		dst = http1.AppendLastChunk(w.chunks(dst, m.Body), m.Trailers)
	default:
		dst = append(dst, m.Body...)
	}
	if w.forbidden(dst[at:]) {
		return dst, &Refusal{refusedSeparator}
	}
	return dst, nil
}

func appendLength(dst []byte, n int) []byte {
	dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(n), 10)
	return append(dst, '\r', '\n')
}

// forbidden reports whether b, and the line end that will follow it, hold what must not be written.
func (w *Writer) forbidden(b []byte) bool {
	f := w.Forbidden
	return len(f) > 0 && (bytes.Contains(b, f) || f[len(f)-1] == '\n' && bytes.HasSuffix(b, f[:len(f)-1]))
}

// chunks writes body as one chunk, or as more where Split stands in it.
func (w *Writer) chunks(dst, body []byte) []byte {
	for len(w.Split) > 0 {
		i := bytes.Index(body, w.Split)
		if i < 0 {
			break
		}
		i += len(w.Split) / 2
		dst, body = http1.AppendChunk(dst, body[:i]), body[i:]
	}
	return http1.AppendChunk(dst, body)
}

// compare holds what was read again against m.
func (w *Writer) compare(dst []byte, at, n int, whole bool, err error, m *traffic.Message, cut bool) ([]byte, error) {
	b := &w.back
	if err == nil && framingOf(b) == http1.Chunked {
		w.body = b.Body[:0]
	}
	switch {
	case err != nil:
		return dst[:at], &Refusal{refusedProtocol}
	case n != len(dst)-at || !bytes.Equal(b.Body, m.Body):
		return dst[:at], &Refusal{refusedFraming}
	case !bytes.Equal(b.Method, m.Method) || !bytes.Equal(b.Target, m.Target) || !bytes.Equal(b.Reason, m.Reason) || !sameLines(b.Headers, m.Headers):
		return dst[:at], &Refusal{refusedHeader}
	}
	if len(b.Trailers) != len(m.Trailers) {
		w.Notes.Note("trailers left out")
	}
	if cut && (whole || b.BodySize != m.BodySize) {
		w.Notes.Note("looks whole though its body was cut")
	}
	return dst, nil
}

// sameLines compares headers, but for those that frame: they may have been made right.
func sameLines(a, b []traffic.Header) bool {
	i, j := 0, 0
	for {
		for i < len(a) && frames(a[i].Name) {
			i++
		}
		for j < len(b) && frames(b[j].Name) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if !bytes.Equal(a[i].Name, b[j].Name) || !bytes.Equal(a[i].Value, b[j].Value) {
			return false
		}
		i, j = i+1, j+1
	}
}

func frames(name []byte) bool {
	return traffic.EqualFold(name, "content-length") || traffic.EqualFold(name, "transfer-encoding")
}
