package traffic

// A Header is one header or trailer line: name and value as they stood on the wire, case kept,
// white space around the value removed.
type Header struct {
	Name, Value []byte
}

// Mask stands in a recording for a text that was too secret to be stored.
const Mask = "REDACTED"

// A Message is one request or one response. Header order, case and repetition are kept.
type Message struct {
	Method, Target []byte // requests only; Target is the request-target exactly as sent
	Status         int    // responses only; 0 means that no response came
	Reason         []byte // responses only; the reason phrase, may be empty
	Minor          uint8  // HTTP/1.Minor
	Headers        []Header
	Trailers       []Header

	// Body is what was kept of the body, transfer coding removed and content coding left alone.
	// A proxy streams bodies past and keeps nothing here; the tap and the tape reader fill it.
	Body []byte
	// BodySize is the true size in bytes, larger than len(Body) where the body was cut or not kept.
	BodySize int64
}

// Get returns the value of the first header called name, ASCII case ignored, or nil.
func (m *Message) Get(name string) []byte {
	for i := range m.Headers {
		if EqualFold(m.Headers[i].Name, name) {
			return m.Headers[i].Value
		}
	}
	return nil
}

// Reset empties m for the next message and keeps the memory of its slices.
func (m *Message) Reset() {
	m.Method, m.Target, m.Reason = nil, nil, nil
	m.Status, m.Minor, m.BodySize = 0, 0, 0
	m.Headers, m.Trailers, m.Body = m.Headers[:0], m.Trailers[:0], m.Body[:0]
}

// EqualFold reports whether b equals s with ASCII case ignored, the comparison RFC 9110 §5.1 asks for
// field names. bytes.EqualFold folds Unicode (K and the Kelvin sign) and is several times slower.
func EqualFold[S string | []byte](b []byte, s S) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if c, d := b[i], s[i]; c != d && lower(c) != lower(d) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
