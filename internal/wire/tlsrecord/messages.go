package tlsrecord

import (
	"crypto/sha256"
	"encoding/binary"
)

// Types of handshake messages that matter here.
const (
	clientHello       = 1
	serverHello       = 2
	endOfEarlyData    = 5
	finished          = 20
	keyUpdate         = 24
	maxMessage        = 64 << 10 // bytes of a hello
	extVersions       = 43
	extEarlyData      = 42
	messageHead       = 4
	helloRandomOffset = 2
)

// helloRetry is the random of a ServerHello that asks for another ClientHello (RFC 8446, 4.1.3).
var helloRetry = sha256.Sum256([]byte("HelloRetryRequest"))

// messages cuts a stream of handshake records into messages. Those that do not matter are passed over without
// being held: certificates may be large.
type messages struct {
	b    []byte // head and body of the message under way, if it matters, else its head
	skip int    // bytes of one that does not
}

// messages reads the content of a handshake record.
func (c *Conn) messages(dir int, b []byte) error {
	m := &c.side[dir].msgs
	for len(b) > 0 {
		if m.skip > 0 {
			k := min(m.skip, len(b))
			b, m.skip = b[k:], m.skip-k
			continue
		}
		k := min(max(0, messageHead-len(m.b)), len(b))
		m.b, b = append(m.b, b[:k]...), b[k:]
		if len(m.b) < messageHead {
			return nil
		}
		kind, size := m.b[0], int(m.b[1])<<16|int(m.b[2])<<8|int(m.b[3])
		if kind != clientHello && kind != serverHello && kind != keyUpdate {
			m.b, m.skip = m.b[:0], size
			if err := c.passed(dir, kind, len(b) == size); err != nil {
				return err
			}
			continue
		}
		if size > maxMessage {
			return ErrRecord
		}
		k = min(messageHead+size-len(m.b), len(b))
		m.b, b = append(m.b, b[:k]...), b[k:]
		if len(m.b) < messageHead+size {
			return nil
		}
		err := c.message(dir, kind, m.b[messageHead:], len(b) == 0)
		m.b = m.b[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// passed follows the head of a message whose body does not matter. last says that it ends its record: keys
// change only there, and a Finished is never cut.
func (c *Conn) passed(dir int, kind byte, last bool) error {
	s := &c.side[dir]
	switch {
	case kind == endOfEarlyData:
		return ErrEarlyData
	case c.suite == nil:
		return ErrRecord // only hellos come before the suite
	case s.secure && c.suite.version == tls12:
		return ErrRenegotiation // the server's request for it is one, too
	case kind != finished || s.secure:
		return nil
	case s.now.aead == nil || !last:
		return ErrRecord
	}
	s.secure = true
	if c.suite.version == tls13 {
		s.now, s.next = s.next, protection{}
		if s.now.aead == nil {
			return ErrKeys
		}
	}
	return nil
}

// message reads one that matters. last says that it ends its record.
func (c *Conn) message(dir int, kind byte, b []byte, last bool) error {
	s := &c.side[dir]
	switch {
	case kind == keyUpdate:
		if c.suite == nil || c.suite.version != tls13 || !s.secure || !last {
			return ErrRecord
		}
		var err error
		s.now, err = c.suite.update(s.now.secret)
		return err
	case s.secure:
		return ErrRenegotiation
	case s.now.aead != nil, c.suite != nil, (kind == clientHello) != (dir == Client):
		return ErrRecord
	case kind == clientHello:
		return c.clientHello(b)
	}
	return c.serverHello(b)
}

// clientHello := version u16, random [32], session u8[], suites u16[], compressions u8[], extensions u16[]
func (c *Conn) clientHello(b []byte) error {
	if c.asked != c.replied || c.asked > 1 || len(b) < helloRandomOffset+32 {
		return ErrRecord
	}
	copy(c.random[Client][:], b[helloRandomOffset:])
	c.asked++
	b = b[helloRandomOffset+32:]
	_, b, ok := vector(b, 1)
	if ok {
		_, b, ok = vector(b, 2)
	}
	if ok {
		_, b, ok = vector(b, 1)
	}
	if !ok {
		return ErrRecord
	}
	early := false
	if !extensions(b, func(kind uint16, _ []byte) { early = early || kind == extEarlyData }) {
		return ErrRecord
	}
	if early {
		return ErrEarlyData
	}
	return nil
}

// serverHello := version u16, random [32], session u8[], suite u16, compression u8, extensions u16[]
func (c *Conn) serverHello(b []byte) error {
	if c.asked <= c.replied || len(b) < helloRandomOffset+32 {
		return ErrRecord
	}
	version := binary.BigEndian.Uint16(b)
	copy(c.random[Server][:], b[helloRandomOffset:])
	_, b, ok := vector(b[helloRandomOffset+32:], 1)
	if !ok || len(b) < 3 {
		return ErrRecord
	}
	id := binary.BigEndian.Uint16(b)
	if !extensions(b[3:], func(kind uint16, v []byte) {
		if kind == extVersions && len(v) == 2 {
			version = binary.BigEndian.Uint16(v)
		}
	}) {
		return ErrRecord
	}
	c.replied++
	switch {
	case version != tls12 && version != tls13:
		return ErrVersion
	case c.random[Server] == helloRetry:
		return nil
	}
	if c.suite = suiteOf(version, id); c.suite == nil {
		return ErrSuite
	}
	return c.agree()
}

// agree looks up the secrets of the connection.
func (c *Conn) agree() (err error) {
	random := &c.random[Client]
	if c.suite.version == tls12 {
		secret := c.keys.secret(master, random)
		if secret == nil {
			return ErrKeys
		}
		ps, err := c.suite.keyBlock(secret, random, &c.random[Server])
		c.side[Client].next, c.side[Server].next = ps[Client], ps[Server]
		return err
	}
	for dir, ls := range [2][2]label{{clientHandshake, clientTraffic}, {serverHandshake, serverTraffic}} {
		s := &c.side[dir]
		if s.now, err = c.suite.traffic(c.keys.secret(ls[0], random)); err != nil {
			return err
		}
		if s.next, err = c.suite.traffic(c.keys.secret(ls[1], random)); err != nil {
			return err
		}
	}
	return nil
}

// vector splits off what a length of size bytes stands before.
func vector(b []byte, size int) (v, rest []byte, ok bool) {
	n := 0
	if len(b) < size {
		return nil, nil, false
	}
	for _, x := range b[:size] {
		n = n<<8 | int(x)
	}
	if len(b)-size < n {
		return nil, nil, false
	}
	return b[size : size+n], b[size+n:], true
}

// extensions calls f for each extension of a hello, which may have none. It reports whether they are whole.
func extensions(b []byte, f func(kind uint16, value []byte)) bool {
	if len(b) == 0 {
		return true
	}
	list, rest, ok := vector(b, 2)
	if !ok || len(rest) > 0 {
		return false
	}
	for len(list) > 0 {
		if len(list) < 4 {
			return false
		}
		kind := binary.BigEndian.Uint16(list)
		var v []byte
		if v, list, ok = vector(list[2:], 2); !ok {
			return false
		}
		f(kind, v)
	}
	return true
}
