package tlsrecord

import "encoding/binary"

// The directions, by who sends.
const (
	Client = iota
	Server
)

// An Error says why a connection cannot be read, or not from here on.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of Next. There are no others, so that they can be counted.
const (
	ErrRecord        Error = "it is not TLS, or breaks it"
	ErrVersion       Error = "a version other than TLS 1.2 and 1.3"
	ErrSuite         Error = "a cipher suite that is not read"
	ErrKeys          Error = "its secrets are not in the key log"
	ErrOpen          Error = "a record does not open with the secrets of the key log"
	ErrEarlyData     Error = "early data (0-RTT)"
	ErrRenegotiation Error = "renegotiation"
)

// A Conn is one connection. Feed it the bytes of both directions in their order, and those of the server not
// before those of the client that they answer.
type Conn struct {
	keys    *KeyLog
	suite   *suite // nil until the server has chosen
	random  [2][32]byte
	asked   int // ClientHellos, and
	replied int // ServerHellos, HelloRetryRequests included
	side    [2]side
}

// A side is one direction.
type side struct {
	part   []byte     // of a record whose end is to come
	now    protection // of records
	next   protection // behind the ChangeCipherSpec, or the Finished of TLS 1.3
	msgs   messages
	ended  bool
	secure bool // its Finished has been read
}

// New returns a Conn that looks secrets up in keys once the server's hello has been read.
func New(keys *KeyLog) *Conn { return &Conn{keys: keys} }

// Waits reports whether the client's bytes must wait for the server's hello: what they are depends on it.
func (c *Conn) Waits() bool { return c.asked > c.replied }

// Ended reports whether a direction was ended by an alert: nothing behind it is application data.
func (c *Conn) Ended(dir int) bool { return c.side[dir].ended }

// Partial reports whether a direction stands inside a record.
func (c *Conn) Partial(dir int) bool { return len(c.side[dir].part) > 0 }

// Memory is the size of what c holds of records and messages under way, in bytes.
func (c *Conn) Memory() int {
	n := 0
	for i := range c.side {
		n += cap(c.side[i].part) + cap(c.side[i].msgs.b)
	}
	return n
}

const (
	headSize  = 5
	maxRecord = 1<<14 + 2048 // bytes behind the head; RFC 5246, 6.2.3
)

// Types of records, and of the content of those of TLS 1.3.
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
)

// Next reads the bytes b of direction dir up to the end of a record. It returns how many it read, and what the
// record had of application data, in the memory of dst or in larger memory: valid until dst is used again.
// After an error the connection cannot be read.
func (c *Conn) Next(dir int, dst, b []byte) (data []byte, n int, err error) {
	s := &c.side[dir]
	if s.ended {
		return dst[:0], len(b), nil
	}
	record := b
	if len(s.part) > 0 {
		n = s.collect(b, headSize)
		if len(s.part) >= headSize {
			n += s.collect(b[n:], headSize+bodySize(s.part))
		}
		record = s.part
	}
	if err := checkHead(record); err != nil {
		return dst[:0], 0, err
	}
	if len(record) < headSize || len(record) < headSize+bodySize(record) {
		if len(s.part) == 0 {
			s.part = append(s.part, b...)
			n = len(b)
		}
		return dst[:0], n, nil
	}
	record = record[:headSize+bodySize(record)]
	if len(s.part) == 0 {
		n = len(record)
	}
	data, err = c.record(dir, dst[:0], record)
	s.part = s.part[:0]
	return data, n, err
}

// collect moves bytes of b to part until that has size bytes.
func (s *side) collect(b []byte, size int) int {
	k := max(0, min(size-len(s.part), len(b)))
	s.part = append(s.part, b[:k]...)
	return k
}

func bodySize(record []byte) int { return int(binary.BigEndian.Uint16(record[3:])) }

// checkHead looks at as much of a record's head as there is.
func checkHead(b []byte) error {
	switch {
	case len(b) > 0 && (b[0] < changeCipherSpec || b[0] > applicationData),
		len(b) > 1 && b[1] != 3,
		len(b) >= headSize && bodySize(b) > maxRecord:
		return ErrRecord
	}
	return nil
}

// record reads a whole record.
func (c *Conn) record(dir int, dst, record []byte) ([]byte, error) {
	s := &c.side[dir]
	kind, body := record[0], record[headSize:]
	is13 := c.suite != nil && c.suite.version == tls13
	switch {
	case kind == changeCipherSpec && !is13:
		switch {
		case c.suite == nil: // for middle boxes, around a HelloRetryRequest
			return dst, nil
		case s.next.aead == nil:
			return dst, ErrRecord
		}
		s.now, s.next = s.next, protection{}
		return dst, nil
	case kind == changeCipherSpec: // for middle boxes
		return dst, nil
	case is13 && kind == alert: // sent before there were keys
		return dst, s.alert(body)
	case is13 && kind == handshake:
		return dst, ErrRecord
	case s.now.aead != nil:
		plain, err := s.now.open(dst, record, body)
		if err != nil {
			return dst, err
		}
		if is13 {
			if plain, kind = unpad(plain); kind == 0 {
				return dst, ErrRecord
			}
		}
		body = plain
	case kind == applicationData:
		return dst, ErrRecord
	}
	switch kind {
	case alert:
		return dst, s.alert(body)
	case handshake:
		return dst, c.messages(dir, body)
	case applicationData:
		if !s.secure {
			return dst, ErrRecord
		}
		return body, nil
	}
	return dst, ErrRecord
}

// unpad splits the plaintext of a record of TLS 1.3 into content and type, 0 for none.
func unpad(b []byte) (content []byte, kind byte) {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	if n == 0 {
		return nil, 0
	}
	return b[:n-1], b[n-1]
}

// alert ends a direction: close_notify and all errors do, of warnings only TLS 1.2 knows others.
func (s *side) alert(b []byte) error {
	const warning, closeNotify, userCanceled = 1, 0, 90
	if len(b) != 2 {
		return ErrRecord
	}
	if b[1] != userCanceled && (b[1] == closeNotify || b[0] != warning) {
		s.ended = true
	}
	return nil
}
