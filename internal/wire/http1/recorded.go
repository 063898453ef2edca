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
	out, _, err := appendRecorded(dst, m, edits, nil)
	return out, err
}

// A Replay writes recorded requests that are meant to arrive: what ParseRequest with these Limits would refuse it
// refuses. Nothing is read a second time for that: every byte is looked at when it is written, and not even then where
// the request before had the same line. It is for one goroutine.
type Replay struct {
	Limits       Limits
	seen         seen
	lines, edits habits
}

// Append is AppendRecorded; f is what ParseRequest would say.
func (r *Replay) Append(dst []byte, m *traffic.Message, edits []traffic.Header) (out []byte, f Framing, err error) {
	s := &r.seen
	*s = seen{}
	out, head, err := appendRecorded(dst, m, edits, r)
	if err != nil {
		return out, f, err
	}
	switch {
	case head-len(dst) > r.Limits.head():
		err = errHeadLong
	case s.lines > r.Limits.headers():
		err = errHeaderMany
	default:
		err = requestFraming(m, &f, s, &r.Limits)
	}
	if err != nil {
		return dst, f, fmt.Errorf("write recorded request: %w", err)
	}
	return out, f, nil
}

// appendRecorded does the work of both, and tells r, when there is one, about the lines as they are written. head is
// the place after the head.
func appendRecorded(dst []byte, m *traffic.Message, edits []traffic.Header, r *Replay) (out []byte, head int, err error) {
	if err := checkStart(m); err != nil {
		return dst, 0, err
	}
	var s *seen
	var before, editsBefore habits
	if r != nil {
		s = &r.seen
		before, editsBefore = r.lines.of(len(m.Headers)), r.edits.of(len(edits))
	}
	if err := checkEdits(edits, editsBefore); err != nil {
		return dst, 0, err
	}
	var f Framing
	recordedFraming(m, &f)
	out = append(dst, m.Method...)
	out = append(out, ' ')
	out = append(out, m.Target...)
	out = append(out, " HTTP/1."...)
	out = append(out, '0'+m.Minor, '\r', '\n')

	var e editor
	e.start(edits, s)
	framed := f.Kind == NoBody
	for i := range m.Headers {
		h := &m.Headers[i]
		k := before.at(i)
		name, value := k.knows(h)
		if err := checkRest(h, name, value); err != nil {
			return dst, 0, fmt.Errorf("write recorded request: header %q: %w", h.Name, err)
		}
		if !name && hopByHop(h.Name) == framing {
			// With both kinds on tape the one that counts keeps its own place.
			if !framed && (f.Kind == Chunked) == (len(h.Name) == len("Transfer-Encoding")) {
				out, framed = appendFraming(out, h, f)
			}
			continue
		}
		var edited bool
		if out, edited = e.replace(out, h.Name); edited {
			continue
		}
		if value {
			s.lines++
			out = append(out, k.line...)
			continue
		}
		if e.note(h); e.err != nil {
			break
		}
		from := len(out)
		out = appendLine(out, h.Name, h.Value)
		if k != nil && !steers(h.Name) {
			k.keep(out[from:], len(h.Name))
		}
	}
	out = e.rest(out)
	if e.err != nil {
		return dst, 0, fmt.Errorf("write recorded request: %w", e.err)
	}
	if !framed {
		out, _ = appendFraming(out, nil, f)
	}
	if s != nil && f.Kind != NoBody {
		s.lines++
		s.chunked, s.lengths, s.length = f.Kind == Chunked, f.Kind == Length, f.Length
	}
	out = append(out, '\r', '\n')
	head = len(out)
	if f.Kind == Chunked {
		out = AppendChunk(out, m.Body)
		return AppendLastChunk(out, m.Trailers), head, nil
	}
	return append(out, m.Body...), head, nil
}

// recordedFraming is how a recorded request is framed when it is written again.
func recordedFraming(m *traffic.Message, f *Framing) {
	for i := range m.Headers {
		if name := m.Headers[i].Name; hopByHop(name) == framing {
			f.Kind = Length
			if len(name) == len("Transfer-Encoding") && m.Minor == 1 {
				f.Kind = Chunked
				return
			}
		}
	}
	if f.Kind == NoBody && len(m.Body) > 0 {
		f.Kind = Length
	}
	if f.Kind == Length {
		f.Length = int64(len(m.Body))
	}
}

func checkStart(m *traffic.Message) error {
	switch {
	case len(m.Method) == 0 || !all(m.Method, isToken):
		return fmt.Errorf("write recorded request: method %q: %w", m.Method, errEditName)
	case len(m.Target) == 0 || nextNonTarget(m.Target, 0) < len(m.Target):
		return fmt.Errorf("write recorded request: target %q: %w", m.Target, errTarget)
	case m.Minor > 1:
		return fmt.Errorf("write recorded request: version 1.%s: %w", strconv.Itoa(int(m.Minor)), errVersion)
	}
	return nil
}

func checkEdits(edits []traffic.Header, before habits) error {
	for i := range edits {
		h := &edits[i]
		k := before.at(i)
		name, value := k.knows(h)
		err := checkRest(h, name, value)
		if err == nil && !name && hopByHop(h.Name) == framing {
			err = errEditFraming
		}
		if err != nil {
			return fmt.Errorf("write recorded request: edit of header %q: %w", h.Name, err)
		}
		if k != nil && !name { // the value of the first: it is the same for ever or never
			k.keep(appendLine(k.line[:0], h.Name, h.Value), len(h.Name))
		}
	}
	return nil
}
