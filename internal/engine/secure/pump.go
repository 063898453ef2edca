package secure

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/redlane/redlane/internal/invariant"
)

// plainSize is how much is decrypted before it is handed over: two full records.
const plainSize = 32 << 10

// pump decrypts what has come and hands it over, until nothing is left or the Handler wants no more.
func (c *conn) pump() {
	l := c.loop
	for c.phase == open && !c.paused && !c.dry && !c.eof {
		n, err := c.fill(l.plain)
		c.flush() // alerts, and answers to KeyUpdate
		if n > 0 {
			l.inner.OnData(c.h, l.plain[:n])
			invariant.Poison(l.plain[:n])
		}
		if err == nil || c.phase != open || c.paused { // tls remembers err and tells it again
			continue
		}
		if errors.Is(err, io.EOF) {
			c.eof = true
			l.inner.OnEOF(c.h)
			continue
		}
		h := c.h
		c.drop()
		l.Loop.Close(h) // and not Reset: there may be an alert to bring
		l.inner.OnClosed(h, err)
	}
	c.keep()
}

// fill decrypts into b what can be decrypted now, and sets dry when that was all.
func (c *conn) fill(b []byte) (n int, err error) {
	for n < len(b) {
		k, err := c.tls.Read(b[n:])
		n += k
		switch {
		case err == nil:
		case errors.Is(err, again{}):
			c.dry = true
			return n, nil
		default:
			return n, err
		}
		if n < len(b) && len(c.in) == 0 && c.record.whole() && !c.fin {
			c.dry = true
			return n, nil
		}
	}
	return n, nil
}

// keep copies what was not taken, because the bytes of an event are the driver's. What follows close_notify
// must be ignored (RFC 8446, 6.1).
func (c *conn) keep() {
	if c.phase != open || c.eof || len(c.in) == 0 {
		c.in = nil
		if cap(c.held) > keepHeld {
			c.held = nil
		}
		c.held = c.held[:0]
		return
	}
	c.held = append(c.held[:0], c.in...)
	c.in = c.held
}

// keepHeld is the buffer a connection may keep when nothing waits in it.
const keepHeld = 4 << 10

// again is how memory says that nothing has come yet. tls.Conn takes a net.Error that is Temporary for no
// error at all: it keeps the part of a record that it has and goes on with the next Read. Nothing else it
// could be told leaves it usable. TestReadGoesOnAfterTemporary holds that.
type again struct{}

func (again) Error() string   { return "no bytes yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var _ net.Error = again{}

// errTruncated is an end without close_notify. tls.Conn would call an io.EOF between two records an end.
var errTruncated = fmt.Errorf("TLS: ended without close_notify: %w", io.ErrUnexpectedEOF)

// Read gives tls what has come, up to the end of a record.
func (c *conn) Read(p []byte) (int, error) {
	if s := c.shake; s != nil {
		return s.read(p)
	}
	if len(c.in) == 0 {
		if c.fin {
			return 0, errTruncated
		}
		return 0, again{}
	}
	n := copy(p, c.in[:c.record.span(c.in)])
	c.record.advance(c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

// Write takes what tls wants sent.
func (c *conn) Write(p []byte) (int, error) {
	if s := c.shake; s != nil {
		return s.write(p)
	}
	c.loop.out = append(c.loop.out, p...)
	return len(p), nil
}

// Close does nothing, and is not called.
func (c *conn) Close() error { return nil }

// LocalAddr is for nobody.
func (c *conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.to) }

// RemoteAddr is what tickets are kept by where the server has no name.
func (c *conn) RemoteAddr() net.Addr {
	if c.server == nil {
		return address(c.addr)
	}
	return net.TCPAddrFromAddrPort(c.from)
}

// SetDeadline and its like do nothing: nothing here waits.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// An address is one as it was dialled.
type address string

// Network is how the address is written before it.
func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }
