package http1

import (
	"fmt"
	"strconv"

	"github.com/redlane/redlane/traffic"
)

// AppendRecorded writes a whole request as it was recorded: version, header order, case and repetition as
// they are in m, also the headers of one connection; only edits are applied, which here may touch any
// header but the framing. A request recorded with Transfer-Encoding goes out chunked, with m.Body as one
// chunk and its trailers; any other with a Content-Length goes out with the length of m.Body, also where
// the tape cut it short (compare BodySize first if that must not be sent). A body that no header
// announces gets a Content-Length.
//
// What a recording or an edit holds is input: where it could be read as anything but this one request,
// dst comes back unchanged with an error.
func AppendRecorded(dst []byte, m *traffic.Message, edits []traffic.Header) ([]byte, error) {
	if err := checkRecorded(m, edits); err != nil {
		return dst, err
	}
	f := Framing{Kind: NoBody, Length: int64(len(m.Body))}
	for i := range m.Headers {
		if name := m.Headers[i].Name; hopByHop(name) == framing {
			f.Kind = Length
			if len(name) == len("Transfer-Encoding") && m.Minor == 1 {
				f.Kind = Chunked
				break
			}
		}
	}
	if f.Kind == NoBody && len(m.Body) > 0 {
		f.Kind = Length
	}
	dst = append(dst, m.Method...)
	dst = append(dst, ' ')
	dst = append(dst, m.Target...)
	dst = append(dst, " HTTP/1."...)
	dst = append(dst, '0'+m.Minor, '\r', '\n')

	e := editor{edits: edits}
	framed := f.Kind == NoBody
	for i := range m.Headers {
		h := &m.Headers[i]
		if hopByHop(h.Name) == framing {
			// With both kinds on tape the one that counts keeps its own place.
			if !framed && (f.Kind == Chunked) == (len(h.Name) == len("Transfer-Encoding")) {
				dst, framed = appendFraming(dst, h, f)
			}
			continue
		}
		var edited bool
		if dst, edited = e.replace(dst, h.Name); !edited {
			dst = appendLine(dst, h.Name, h.Value)
		}
	}
	dst = e.rest(dst)
	if !framed {
		dst, _ = appendFraming(dst, nil, f)
	}
	dst = append(dst, '\r', '\n')
	if f.Kind == Chunked {
		dst = AppendChunk(dst, m.Body)
		return AppendLastChunk(dst, m.Trailers), nil
	}
	return append(dst, m.Body...), nil
}

func checkRecorded(m *traffic.Message, edits []traffic.Header) error {
	switch {
	case len(m.Method) == 0 || !all(m.Method, isToken):
		return fmt.Errorf("write recorded request: method %q: %w", m.Method, errEditName)
	case len(m.Target) == 0 || nextNonTarget(m.Target, 0) < len(m.Target):
		return fmt.Errorf("write recorded request: target %q: %w", m.Target, errTarget)
	case m.Minor > 1:
		return fmt.Errorf("write recorded request: version 1.%s: %w", strconv.Itoa(int(m.Minor)), errVersion)
	}
	for i := range m.Headers {
		if err := checkLine(m.Headers[i]); err != nil {
			return fmt.Errorf("write recorded request: header %q: %w", m.Headers[i].Name, err)
		}
	}
	for i := range edits {
		err := checkLine(edits[i])
		if err == nil && hopByHop(edits[i].Name) == framing {
			err = errEditFraming
		}
		if err != nil {
			return fmt.Errorf("write recorded request: edit of header %q: %w", edits[i].Name, err)
		}
	}
	return nil
}
