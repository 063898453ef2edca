package lanes

import (
	"bytes"

	"github.com/redlane/redlane/traffic"
)

// W3C Baggage, as far as a lane needs it:
//
//	baggage: user=alice, lane=red;ttl=30, region=eu%2Dwest
//	         └─ member ┘ └key┘ └val┘└property┘

const (
	baggageName = "baggage"
	baggageKey  = "lane"

	// What every party must pass on (W3C Baggage §3.3.2), and so the most that we write. OpenTelemetry
	// libraries drop the whole header above it.
	maxMembers = 64
	maxBaggage = 8192
)

// nextMember cuts the first member, white space removed, off a baggage value; rest is nil after the last.
// A member may be empty or malformed. A comma cannot stand inside one: it must be percent-coded.
func nextMember(b []byte) (member, rest []byte) {
	if i := bytes.IndexByte(b, ','); i >= 0 {
		return trim(b[:i]), b[i+1:]
	}
	return trim(b), nil
}

// parseMember splits a member into its key and its value, still percent-coded. ok is false when the
// member breaks the grammar, in its properties too.
func parseMember(m []byte) (k, value []byte, ok bool) {
	m, props, more := bytes.Cut(m, []byte{';'})
	for more {
		var p []byte
		p, props, more = bytes.Cut(props, []byte{';'})
		k, v, _ := bytes.Cut(p, []byte{'='})
		if !isToken(trim(k)) || !isValue(trim(v)) {
			return nil, nil, false
		}
	}
	k, value, ok = bytes.Cut(m, []byte{'='})
	k, value = trim(k), trim(value)
	return k, value, ok && isToken(k) && isValue(value)
}

// laneOf returns the value of a member that names a lane, percent-decoded. A member with the key of the
// lane counts as one even when the rest of it is malformed: a colour that cannot be read is a colour, and
// will be refused.
func laneOf(m []byte) (value []byte, ok bool) {
	m, _, _ = bytes.Cut(m, []byte{';'})
	k, v, _ := bytes.Cut(m, []byte{'='})
	if string(trim(k)) != baggageKey {
		return nil, false
	}
	return decode(trim(v)), true
}

// decode undoes percent-coding. It copies only where there is any; a percent sign that starts no code
// stays, and so makes no valid colour.
func decode(v []byte) []byte {
	if bytes.IndexByte(v, '%') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			if hi, lo := unhex(v[i+1]), unhex(v[i+2]); hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}

// AppendBaggage appends to dst a baggage value that names lane, or none when lane is empty, followed by
// the other well-formed members of all baggage lines among headers, as they were and in their order.
// Malformed members are left out, because one of them makes strict readers throw the whole header away,
// the lane included. From the first member that would pass the limits on, the rest is left out too.
func AppendBaggage(dst []byte, lane traffic.Color, headers []traffic.Header) []byte {
	start, n := len(dst), 0
	if lane != "" {
		n++
		dst = append(dst, baggageKey+"="...)
		dst = append(dst, lane...)
	}
	for i := range headers {
		if !traffic.EqualFold(headers[i].Name, baggageName) {
			continue
		}
		for rest := headers[i].Value; rest != nil; {
			var m []byte
			m, rest = nextMember(rest)
			if k, _, ok := parseMember(m); !ok || string(k) == baggageKey {
				continue
			}
			if n++; n > maxMembers || len(dst)-start+1+len(m) > maxBaggage {
				return dst
			}
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = append(dst, m...)
		}
	}
	return dst
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

const (
	tokenByte = 1 << iota // RFC 9110 §5.6.2
	valueByte             // baggage-octet: visible ASCII without " , ; \
)

var class = func() (t [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		if bytes.IndexByte([]byte("\"(),/:;<=>?@[\\]{}"), c) < 0 {
			t[c] |= tokenByte
		}
		if bytes.IndexByte([]byte("\",;\\"), c) < 0 {
			t[c] |= valueByte
		}
	}
	return t
}()

func isToken(b []byte) bool { return len(b) > 0 && all(b, tokenByte) }
func isValue(b []byte) bool { return all(b, valueByte) }

func all(b []byte, is byte) bool {
	for _, c := range b {
		if class[c]&is == 0 {
			return false
		}
	}
	return true
}
