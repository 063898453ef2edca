package http1

import "github.com/redlane/redlane/traffic"

// ParseResponse reads one response head from the front of b, interim ones too: after a 1xx other than 101
// the next head follows. reqMethod is the method of the request it answers. n is the head's size, or 0
// when b ends before it does; m and f then mean nothing. m's slices point into b. err is nil or an
// *Error and means that the service broke the protocol. lim may be nil.
func ParseResponse(b []byte, reqMethod []byte, m *traffic.Message, f *Framing, lim *Limits) (n int, err error) {
	reset(m)
	*f = Framing{}
	over := len(b) > lim.head()
	if over {
		b = b[:lim.head()]
	}
	o, err := statusLine(b, m)
	if err != nil {
		return 0, err
	}
	s := seen{response: true}
	if o > 0 {
		m.Headers, n, err = fields(b, o, lim.headers(), m.Headers, &s)
		if err != nil {
			return 0, err
		}
	}
	if n == 0 {
		if over {
			return 0, errHeadLong
		}
		return 0, nil
	}
	if err := responseFraming(m, f, &s, reqMethod, lim); err != nil {
		return 0, err
	}
	return n, nil
}

// statusLine reads up to and with the line's CRLF and returns the place after it, or 0 for more.
func statusLine(b []byte, m *traffic.Message) (next int, err error) {
	i := 9
	if len(b) >= 9 && string(b[:9]) == "HTTP/1.1 " {
		m.Minor = 1
	} else if m.Minor, i, err = version(b, " "); i == 0 {
		return 0, err
	}
	if len(b)-i < 4 {
		if !all(b[i:min(i+3, len(b))], isDigit) || i < len(b) && b[i] == '0' {
			return 0, errStatusLine
		}
		return 0, nil
	}
	d0, d1, d2 := b[i]-'0', b[i+1]-'0', b[i+2]-'0'
	if d0 > 9 || d1 > 9 || d2 > 9 || d0 == 0 {
		return 0, errStatusLine
	}
	status := int(d0)*100 + int(d1)*10 + int(d2)
	i += 3
	// The space is required even before an empty reason, but its absence leaves no doubt, and servers
	// that omit it exist.
	r := i
	if b[i] == ' ' {
		r++
	} else if b[i] != '\r' {
		return 0, errStatusLine
	}
	i = textEnd(b, r)
	switch {
	case i == len(b):
		return 0, nil
	case b[i] == '\n':
		return 0, errBareLF
	case b[i] != '\r':
		return 0, errReason
	case i+1 == len(b):
		return 0, nil
	case b[i+1] != '\n':
		return 0, errBareCR
	}
	m.Method, m.Target, m.Status, m.Reason = nil, nil, status, b[r:i:i]
	return i + 2, nil
}

// responseFraming draws the conclusions from a complete head (RFC 9112 §6.3, §9.3).
func responseFraming(m *traffic.Message, f *Framing, s *seen, reqMethod []byte, lim *Limits) error {
	switch {
	case s.chunked && m.Minor == 0:
		return errCodingOld
	case s.chunked && s.lengths:
		return errLengthCoding
	}
	f.LooseSpace = s.loose
	f.Close = s.closes(m.Minor)
	switch {
	case m.Status == 101:
		if !s.upgrades(m.Minor) {
			return errSwitch
		}
		f.Kind, f.Upgrade, f.Close = Tunnel, true, true
	case m.Status < 200:
		if s.chunked || s.length > 0 {
			return errInterimBody
		}
		f.Close = false // the final response decides
	case string(reqMethod) == "CONNECT" && m.Status < 300:
		f.Kind, f.Close = Tunnel, true
	case m.Status == 204:
		// Never a body (RFC 9110 §15.3.5). If the head promises one all the same, bytes may follow that
		// belong to no message, so that nothing more may be read from this connection.
		f.Close = f.Close || s.chunked || s.length > 0
	case m.Status == 304 || string(reqMethod) == "HEAD":
		// The headers describe the body that is not sent.
	case s.chunked:
		f.Kind = Chunked
	case s.lengths:
		if lim.tooLong(s.length) {
			return errBodyLong
		}
		f.Kind, f.Length = Length, s.length
	default:
		f.Kind, f.Close = UntilClose, true
	}
	return nil
}
