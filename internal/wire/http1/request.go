package http1

import "github.com/redlane/redlane/traffic"

// ParseRequest reads one request head from the front of b. n is its size, or 0 when b ends before it
// does; m and f then mean nothing. m's slices point into b. Empty lines before the request line are
// skipped. err is nil or an *Error, found as soon as the bytes that prove it have come; a connection on
// which it happened cannot be used further. lim may be nil.
func ParseRequest(b []byte, m *traffic.Message, f *Framing, lim *Limits) (n int, err error) {
	reset(m)
	*f = Framing{}
	over := len(b) > lim.head() // what lies beyond is not looked at, so that a split changes no verdict
	if over {
		b = b[:lim.head()]
	}
	o, err := requestLine(b, m)
	if err != nil {
		return 0, err
	}
	if o == 0 {
		if over {
			return 0, errTargetLong
		}
		return 0, nil
	}
	var s seen
	m.Headers, n, err = fields(b, o, lim.headers(), m.Headers, &s)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		if over {
			return 0, errHeadLong
		}
		return 0, nil
	}
	if err := requestFraming(m, f, &s, lim); err != nil {
		return 0, err
	}
	return n, nil
}

// reset does what m.Reset does, without writing the pointers that parsing overwrites anyway: 2 ns, not 8.
func reset(m *traffic.Message) {
	m.Status, m.Reason, m.Minor, m.BodySize = 0, nil, 0, 0
	m.Headers, m.Trailers, m.Body = m.Headers[:0], m.Trailers[:0], m.Body[:0]
}

// requestLine reads up to and with the line's CRLF and returns the place after it, or 0 for more.
func requestLine(b []byte, m *traffic.Message) (next int, err error) {
	o := 0
	if len(b) > 0 && b[0] <= '\r' {
		if o = blankLines(b); o < len(b) && b[o] <= '\r' {
			return 0, badStart(b[o:])
		}
	}
	i := tokenEnd(b, o)
	if i == len(b) {
		return 0, nil
	}
	if i == o || b[i] != ' ' {
		return 0, errMethod
	}
	t := i + 1
	v := nextNonTarget(b, t)
	if v == len(b) {
		return 0, nil
	}
	if b[v] != ' ' || v == t {
		if v > t && (b[v] == '\r' || b[v] == '\n') {
			return 0, errNoVersion
		}
		return 0, errTarget
	}
	m.Method, m.Target = b[o:i:i], b[t:v:v]
	v++
	if len(b)-v < 10 || string(b[v:v+10]) != "HTTP/1.1\r\n" {
		m.Minor, next, err = version(b[v:], "\r\n")
		if next == 0 {
			return 0, err
		}
		return v + next, nil
	}
	m.Minor = 1
	return v + 10, nil
}

// badStart judges a request that begins with a control byte; nil asks for more.
func badStart(b []byte) error {
	switch {
	case b[0] == '\n':
		return errBareLF
	case b[0] == '\r' && len(b) == 1:
		return nil
	case b[0] == '\r':
		return errBareCR
	}
	return errMethod
}

// version reads "HTTP/1." minor and what must follow it, byte by byte because b may end anywhere. next is
// the place after it, or 0 for more.
func version(b []byte, follow string) (minor uint8, next int, err error) {
	const form = "HTTP/0.0"
	for i := range len(form) + len(follow) {
		if i == len(b) {
			return 0, 0, nil
		}
		switch {
		case i >= len(form):
			if b[i] != follow[i-len(form)] {
				if b[i] == '\n' {
					return 0, 0, errBareLF
				}
				return 0, 0, errVersionForm
			}
		case form[i] == '0':
			if class[b[i]]&isDigit == 0 {
				return 0, 0, errVersionForm
			}
		case b[i] != form[i]:
			return 0, 0, errVersionForm
		}
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, 0, errVersion
	}
	return b[7] - '0', len(form) + len(follow), nil
}

// requestFraming draws the conclusions from a complete head (RFC 9112 §6.3, §9.3).
func requestFraming(m *traffic.Message, f *Framing, s *seen, lim *Limits) error {
	if !s.hosts && m.Minor == 1 {
		return errNoHost
	}
	if len(m.Target) == 0 || m.Target[0] != '/' || m.Method[0] == 'C' {
		if err := checkTarget(m.Method, m.Target, s); err != nil {
			return err
		}
	}
	switch {
	case s.chunked && m.Minor == 0:
		return errCodingOld
	case s.chunked && s.lengths:
		return errLengthCoding
	case (s.chunked || s.length > 0) && string(m.Method) == "CONNECT":
		return errConnectBody
	case s.chunked:
		f.Kind = Chunked
	case s.lengths:
		if lim.tooLong(s.length) {
			return errBodyLong
		}
		f.Kind, f.Length = Length, s.length
	}
	f.Close = s.closes(m.Minor)
	f.Upgrade = s.upgrades(m.Minor)
	f.LooseSpace = s.loose
	f.Expect100 = s.expect && m.Minor == 1 && (s.chunked || s.length > 0)
	return nil
}
