package http1

import (
	"errors"

	"github.com/redlane/redlane/traffic"
)

// CheckEdit reports why a header line may not be an edit of a forwarded message: its name is no token, its
// value holds a control byte, or it would change the framing or the connection, which the writers own.
// Configuration that names headers is checked with it; AppendRequest and AppendResponse panic on what it
// refuses. A nil Value, which removes the header, may remove anything but Host.
func CheckEdit(h traffic.Header) error {
	if err := checkLine(h); err != nil {
		return err
	}
	if hopByHop(h.Name) != passes {
		return errEditFraming
	}
	if traffic.EqualFold(h.Name, "host") && (h.Value == nil || !validHost(h.Value)) {
		return errEditHost
	}
	return nil
}

var (
	errEditName    = errors.New("the name is not a token")
	errEditValue   = errors.New("the value holds a control byte or white space at an end")
	errEditFraming = errors.New("it would change the framing or the connection")
	errEditHost    = errors.New("the value is not a host and an optional port")
)

// checkLine makes sure that a line can never be more than the one header it claims to be.
func checkLine(h traffic.Header) error {
	if len(h.Name) == 0 || !all(h.Name, isToken) {
		return errEditName
	}
	if !cleanValue(h.Value) {
		return errEditValue
	}
	return nil
}

func cleanValue(v []byte) bool {
	if len(v) > 0 && (v[0] <= ' ' || v[len(v)-1] <= ' ') {
		return false
	}
	return textEnd(v, 0) == len(v)
}

// mustEdits panics on an edit that CheckEdit refuses.
func mustEdits(edits []traffic.Header) {
	hosts := 0
	for i := range edits {
		if err := CheckEdit(edits[i]); err != nil {
			panic("BUG: edit of header " + string(edits[i].Name) + ": " + err.Error())
		}
		if len(edits[i].Name) == 4 && traffic.EqualFold(edits[i].Name, "host") {
			hosts++
		}
	}
	if hosts > 1 {
		panic("BUG: several edits of header Host")
	}
}

// An editor applies edits to header lines as they are written. All edits of one name take the place of the
// first line of that name; its other lines go. Edits of names that do not occur go to the end.
type editor struct {
	edits   []traffic.Header
	lengths uint64 // bit n: a name of n bytes is edited; the last bit stands for all that are longer
	written uint64 // bit i: edits[i] stands already, for the first 64
	seen    *seen  // told what is written, unless it is nil
	err     error  // what seen said to that
}

// start makes e ready for a message. In place: to return it by value took 20 ns, the copy waiting for what it copies.
func (e *editor) start(edits []traffic.Header, s *seen) {
	e.edits, e.seen = edits, s
	for i := range edits {
		e.lengths |= lengthBit(edits[i].Name)
	}
}

func lengthBit(name []byte) uint64 { return 1 << min(len(name), 63) }

// note tells seen about a line that is about to be written.
func (e *editor) note(h *traffic.Header) {
	s := e.seen
	if s == nil {
		return
	}
	s.lines++
	if steers(h.Name) {
		if err := s.note(h.Name, h.Value); err != nil && e.err == nil {
			e.err = err
		}
	}
}

// replace reports whether lines called name are edited, and writes the edits in place of the first one.
func (e *editor) replace(dst []byte, name []byte) ([]byte, bool) {
	if e.lengths&lengthBit(name) == 0 { // nearly always
		return dst, false
	}
	hit := false
	for i := range e.edits {
		h := &e.edits[i]
		if len(h.Name) != len(name) || (h.Name[0]^name[0])&^0x20 != 0 {
			continue
		}
		if traffic.EqualFold(h.Name, name) {
			hit = true
			if i < 64 && e.written&(1<<i) == 0 {
				e.written |= 1 << i
				dst = e.append(dst, h)
			}
		}
	}
	return dst, hit
}

// rest writes the edits that replaced nothing.
func (e *editor) rest(dst []byte) []byte {
	for i := range e.edits {
		if i >= 64 || e.written&(1<<i) == 0 {
			dst = e.append(dst, &e.edits[i])
		}
	}
	return dst
}

func (e *editor) append(dst []byte, h *traffic.Header) []byte {
	if h.Value == nil {
		return dst
	}
	e.note(h)
	return appendLine(dst, h.Name, h.Value)
}

// appendLine writes "Name: value" CRLF.
func appendLine(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}
