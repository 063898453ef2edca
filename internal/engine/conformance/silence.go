package conformance

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// closeIsSilent: after Close or Reset nothing more comes, from whatever event it was called.
func (s *suite) closeIsSilent(t *testing.T) {
	f := func(from string, then func(m *machine, h engine.Handle)) {
		t.Helper()
		r := s.logged(t)
		for _, m := range r.machines {
			end := func(kind string, h engine.Handle) {
				if kind == from {
					m.Arm(h, 10*time.Millisecond)
					then(m, h)
				}
			}
			log := m.hooks
			m.hooks.data = func(h engine.Handle, b []byte) { log.data(h, b); end("data", h) }
			m.hooks.eof = func(h engine.Handle) { log.eof(h); end("eof", h) }
			m.hooks.timer = func(h engine.Handle) { log.timer(h); end("timer", h) }
			m.hooks.dial = func(h engine.Handle) { log.dial(h); end("dial", h) }
			m.hooks.writable = func(h engine.Handle) { log.writable(h); end("writable", h) }
		}
		addr := r.listen(0)
		var c net.Conn
		if from == "dial" {
			theirs := make(chan net.Conn, 1)
			to := upstream(t, "tcp", func(c net.Conn) { theirs <- c; io.Copy(io.Discard, c) })
			r.post(0, func(m *machine) { m.Dial(to, patience) })
			c = <-theirs
		} else {
			var at ref
			c, at = r.connect(addr)
			at.do(func(m *machine, h engine.Handle) {
				switch from {
				case "timer":
					m.Arm(h, time.Millisecond)
				case "writable":
					m.Send(h, make([]byte, clog))
				}
			})
		}
		switch from {
		case "data":
			c.Write([]byte("x"))
		case "eof":
			c.(*net.TCPConn).CloseWrite()
		case "writable":
			io.CopyN(io.Discard, c, clog)
		}
		r.next(from)
		c.Write([]byte("nobody listens"))
		r.silence(40 * time.Millisecond)
		c.Write([]byte("nobody listens"))
		resetFrom(c)
		r.silence(10 * time.Millisecond)
	}
	for _, from := range []string{"data", "eof", "timer", "dial", "writable"} {
		t.Run("Close in "+from, func(*testing.T) { f(from, (*machine).Close) })
		t.Run("Reset in "+from, func(*testing.T) { f(from, (*machine).Reset) })
	}
}

// inFlight: what a driver has in its hands while an event runs must heed what that event does. The events
// here take their time, which a Handler may not do, so that the driver has something in its hands.
func (s *suite) inFlight(t *testing.T) {
	r := s.logged(t)
	addr, hangs := r.listen(0), deaf(t)
	refused := "unix:" + t.TempDir() + "/nobody"
	open := upstream(t, "tcp", func(c net.Conn) { io.Copy(io.Discard, c) })
	const d = 10 * time.Millisecond
	f := func(during func(m *machine, h engine.Handle, c net.Conn)) (net.Conn, ref) {
		t.Helper()
		c, at := r.connect(addr)
		at.do(func(m *machine, h engine.Handle) { during(m, h, c) })
		r.silence(2 * d)
		return c, at
	}
	c, at := f(func(m *machine, h engine.Handle, c net.Conn) {
		c.Write([]byte("held"))
		time.Sleep(d)
		m.Pause(h)
	})
	c.Write([]byte(" back"))
	c.(*net.TCPConn).CloseWrite()
	r.silence(d)
	at.do(func(m *machine, h engine.Handle) { m.Resume(h) })
	require.Equal(t, "held back", r.nextData(9))
	r.next("eof")
	_, at = f(func(m *machine, h engine.Handle, c net.Conn) {
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(d)
		m.Pause(h)
	})
	at.do(func(m *machine, h engine.Handle) { m.Resume(h) })
	r.next("eof")
	f(func(m *machine, h engine.Handle, _ net.Conn) {
		m.Arm(h, 1)
		time.Sleep(d)
		m.Arm(h, 0)
	})
	f(func(m *machine, h engine.Handle, _ net.Conn) {
		m.Arm(h, 1)
		time.Sleep(d)
		m.Arm(h, 20*d)
	})
	r.next("timer")
	for _, end := range []func(*machine, engine.Handle){(*machine).Close, (*machine).Reset} {
		f(func(m *machine, h engine.Handle, c net.Conn) {
			m.Arm(h, 1)
			c.Write([]byte("too late"))
			time.Sleep(d)
			end(m, h)
		})
		f(func(m *machine, h engine.Handle, c net.Conn) {
			resetFrom(c)
			time.Sleep(d)
			end(m, h)
		})
		f(func(m *machine, h engine.Handle, _ net.Conn) {
			for _, to := range []string{open, refused, hangs} {
				up := m.Dial(to, d/2)
				time.Sleep(d)
				end(m, up)
			}
			end(m, h)
		})
	}
}

// staleHandles: calls with the handle of a connection that is over touch nobody else.
func (s *suite) staleHandles(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	var old []ref
	for i := range 4 * r.driver.Loops() {
		c, at := r.connect(addr)
		if i%2 == 0 {
			at.do(func(m *machine, h engine.Handle) { m.Close(h) })
			c.Close()
		} else {
			resetFrom(c)
			r.next("closed")
		}
		old = append(old, at)
	}
	type pair struct {
		c  net.Conn
		at ref
	}
	var live []pair
	for range old {
		c, at := r.connect(addr)
		live = append(live, pair{c, at})
	}
	abuse := func(m *machine, h engine.Handle) {
		if n := m.loop.Send(h, []byte("not for you")); n != 0 {
			t.Errorf("Send to a stale handle returned %d", n)
		}
		m.loop.Pause(h)
		m.loop.Arm(h, time.Millisecond)
		m.loop.CloseWrite(h)
		m.loop.Close(h)
		m.loop.Reset(h)
		m.loop.Resume(h)
	}
	for _, o := range old {
		o.do(abuse)
	}
	for _, h := range []engine.Handle{0, 1, 1 << 31, 1 << 32, 1<<32 | 0xFFFF, 1 << 63, ^engine.Handle(0)} {
		r.post(0, func(m *machine) {
			if m.conns[h] == nil { // a driver may number as it likes
				abuse(m, h)
			}
		})
	}
	r.silence(30 * time.Millisecond)
	for _, p := range live {
		p.c.Write([]byte("ping"))
		require.Equal(t, "ping", r.nextData(4))
		p.at.do(func(m *machine, h engine.Handle) {
			m.Send(h, []byte("pong"))
			m.Close(h)
		})
		b, err := io.ReadAll(p.c)
		require.NoError(t, err)
		require.Equal(t, "pong", string(b))
	}
}
