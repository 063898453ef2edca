package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// fields reads header or trailer lines from b[o:] up to and with the empty line. It adds them to hs and
// tells s, when there is one, about those that steer the message. next is the place after the empty
// line, or 0 when b ends before it.
func fields(b []byte, o, most int, hs []traffic.Header, s *seen) (out []traffic.Header, next int, err error) {
	for {
		l := b[o:]
		colon, end := plainLine(l)
		if end == 0 {
			next, err = otherLine(b, o)
			return hs, next, err
		}
		if len(hs) == most {
			return hs, 0, errHeaderMany
		}
		o += end + 2
		// Filling the slot in place costs 2 ns a line, append of a literal 6 ns.
		if len(hs) == cap(hs) {
			hs = slices.Grow(hs, 16)
		}
		hs = hs[:len(hs)+1]
		h := &hs[len(hs)-1]
		h.Name = l[:colon:colon]
		if v := colon + 2; v <= end && l[v-1] == ' ' && (v == end || l[v] > ' ' && l[end-1] > ' ') {
			h.Value = l[v:end:end]
		} else {
			h.Value = trim(l[colon+1 : end])
			if s != nil {
				s.loose = true
			}
		}
		// Few lengths and first letters steer anything, so that most lines are done here.
		if colon < len(steering) && steering[colon] == l[0]|0x20 && s != nil {
			if err := s.note(h.Name, h.Value); err != nil {
				return hs, 0, err
			}
		}
	}
}

// plainLine finds the parts of the complete line that l begins with. end is 0 if there is none: then
// otherLine looks again and says why. Apart, with few live variables, because it is half of all parsing.
//
//	Name: value CRLF
//	    colon   end
func plainLine(l []byte) (colon, end int) {
	i := 0
	for i < len(l) && class[l[i]]&isToken != 0 {
		i++
	}
	if i >= len(l) || l[i] != ':' || i == 0 {
		return 0, 0
	}
	j := i + 1
	for len(l)-j >= 8 {
		m := controls(binary.LittleEndian.Uint64(l[j:]))
		if m == 0 {
			j += 8
			continue
		}
		j += bits.TrailingZeros64(m) >> 3
		if j+1 < len(l) && l[j] == '\r' && l[j+1] == '\n' {
			return i, j
		}
		if l[j] != '\t' {
			return 0, 0
		}
		j++
	}
	// The last line of b.
	j = textEnd(l, j)
	if j+1 < len(l) && l[j] == '\r' && l[j+1] == '\n' {
		return i, j
	}
	return 0, 0
}

// otherLine judges what plainLine did not take at o: the empty line, whose end it returns, a line that is
// not complete (0), or a bad one.
func otherLine(b []byte, o int) (next int, err error) {
	i := tokenEnd(b, o)
	if i == len(b) {
		return 0, nil
	}
	if b[i] == ':' && i > o {
		i = textEnd(b, i+1)
		switch {
		case i == len(b) || b[i] == '\r' && i+1 == len(b):
			return 0, nil
		case b[i] == '\r':
			return 0, errBareCR
		case b[i] == '\n':
			return 0, errBareLF
		}
		return 0, errValue
	}
	switch c := b[i]; {
	case c == '\r' && i+1 == len(b):
		return 0, nil
	case c == '\r' && b[i+1] != '\n':
		return 0, errBareCR
	case c == '\r' && i == o:
		return i + 2, nil
	case c == '\n':
		return 0, errBareLF
	case (c == ' ' || c == '\t') && i == o:
		return 0, errFold
	case c == ' ' || c == '\t':
		return 0, errNameSpace
	}
	return 0, errName
}

// steering holds the first letter of the header that steers a message, by the length of its name.
var steering = [18]byte{4: 'h', 6: 'e', 7: 'u', 10: 'c', 14: 'c', 17: 't'}

// steers reports whether a header may be one of them; hardly any other looks like it.
func steers(name []byte) bool {
	return len(name) < len(steering) && steering[len(name)] == name[0]|0x20
}

// seen is what the headers that steer a message said.
type seen struct {
	host, upgrade []byte
	length        int64
	lines         int  // by writers only
	response      bool // the message is one: Host and Expect mean nothing
	hosts         bool
	lengths       bool
	chunked       bool
	close         bool
	keepAlive     bool
	connUpgrade   bool
	h2c           bool
	expect        bool
	loose         bool
}

// note takes in a header whose name has a steering length and first letter. The error is nil or a
// shared *Error.
func (s *seen) note(name, value []byte) error {
	switch len(name) {
	case 4:
		if !s.response && binary.LittleEndian.Uint32(name)|ones*' '&(1<<32-1) == 'h'|'o'<<8|'s'<<16|'t'<<24 {
			if s.hosts {
				return errHosts
			}
			if !validHost(value) {
				return errHost
			}
			s.hosts, s.host = true, value
		}
	case 6:
		if traffic.EqualFold(name, "expect") && traffic.EqualFold(value, "100-continue") {
			s.expect = true
		}
	case 7:
		if traffic.EqualFold(name, "upgrade") {
			s.noteUpgrade(value)
		}
	case 10:
		if foldIs(name, "connection") {
			s.noteConnection(value)
		}
	case 14:
		if foldIs(name, "content-length") {
			return s.noteLength(value)
		}
	case 17:
		if traffic.EqualFold(name, "transfer-encoding") {
			return s.noteCoding(value)
		}
	}
	return nil
}

func (s *seen) noteConnection(list []byte) {
	if len(list) == len("keep-alive") && foldIs(list, "keep-alive") {
		s.keepAlive = true
		return
	}
	for len(list) > 0 {
		var item []byte
		switch item, list = nextItem(list); {
		case traffic.EqualFold(item, "close"):
			s.close = true
		case traffic.EqualFold(item, "keep-alive"):
			s.keepAlive = true
		case traffic.EqualFold(item, "upgrade"):
			s.connUpgrade = true
		}
	}
}

func (s *seen) noteUpgrade(list []byte) {
	for len(list) > 0 {
		var item []byte
		item, list = nextItem(list)
		if len(item) > 0 {
			s.upgrade = item
		}
		if traffic.EqualFold(item, "h2c") {
			s.h2c = true
		}
	}
}

func (s *seen) noteLength(value []byte) error {
	if s.lengths {
		return errLengths
	}
	n, ok := parseLength(value)
	if !ok {
		return errLength
	}
	s.lengths, s.length = true, n
	return nil
}

// parseLength reads 1*DIGIT below 2^63. strconv would take a sign.
func parseLength(value []byte) (n int64, ok bool) {
	for _, c := range value {
		d := int64(c - '0')
		if c < '0' || c > '9' || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(value) > 0
}

func (s *seen) noteCoding(value []byte) error {
	if s.chunked {
		return errCodings
	}
	s.chunked = true
	if traffic.EqualFold(value, "chunked") {
		return nil
	}
	// Not what we take; say which way it is wrong.
	last := value
	if i := bytes.LastIndexByte(value, ','); i >= 0 {
		last = trim(value[i+1:])
	}
	if len(last) == len(value) || !traffic.EqualFold(last, "chunked") {
		return errCoding
	}
	for list := value[:bytes.LastIndexByte(value, ',')]; len(list) > 0; {
		var item []byte
		if item, list = nextItem(list); traffic.EqualFold(item, "chunked") {
			return errCoding
		}
	}
	return errCodingOther
}

// closes applies the keep-alive rules of RFC 9112 §9.3.
func (s *seen) closes(minor uint8) bool {
	return s.close || minor == 0 && !s.keepAlive
}

// upgrades reports whether the message is about an upgrade that may pass.
func (s *seen) upgrades(minor uint8) bool {
	return minor == 1 && s.connUpgrade && len(s.upgrade) > 0 && !s.h2c
}
