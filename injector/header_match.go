package injector

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/redlane/redlane/traffic"
)

// A HeaderMatch picks requests by one header line. The zero HeaderMatch takes all.
//
//	x-user          it is there
//	x-user: 17      one of its lines has this value, to the letter
//	x-user: 1*      one of its lines has a value that begins so
type HeaderMatch struct {
	Name, Value string
	Prefix      bool // Value is only how it begins; of an empty Value: it is there
}

// String is the match as it is written.
func (h HeaderMatch) String() string {
	switch {
	case h.Name == "" || h.Value == "" && h.Prefix:
		return h.Name
	case h.Prefix:
		return h.Name + ": " + h.Value + "*"
	}
	return h.Name + ": " + h.Value
}

// UnmarshalText parses a match. A value that is empty, or ends in a star, cannot be asked for.
func (h *HeaderMatch) UnmarshalText(text []byte) error {
	name, value, some := strings.Cut(string(text), ":")
	parsed := HeaderMatch{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value), Prefix: true}
	if some && parsed.Value != "" {
		parsed.Value, parsed.Prefix = strings.CutSuffix(parsed.Value, "*")
	}
	if !parsed.valid() || some && parsed.Value == "" {
		return fmt.Errorf("want a header such as x-user, x-user: 17 or x-user: 1*, found %q", text)
	}
	*h = parsed
	return nil
}

func (h HeaderMatch) valid() bool {
	return isToken(h.Name) && !strings.ContainsAny(h.Value, "\r\n\x00") && strings.TrimSpace(h.Value) == h.Value && !strings.HasSuffix(h.Value, "*") && (h.Value != "" || h.Prefix)
}

func (h *HeaderMatch) matches(m *traffic.Message) bool {
	for i := range m.Headers {
		line := &m.Headers[i]
		if !traffic.EqualFold(line.Name, h.Name) {
			continue
		}
		if h.Prefix && bytes.HasPrefix(line.Value, []byte(h.Value)) || string(line.Value) == h.Value {
			return true
		}
	}
	return false
}

// isToken reports whether s can name a header or a method (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
