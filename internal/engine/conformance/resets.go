package conformance

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// resetAnywhere: Reset in the states that the test of Reset leaves out, twice, and from within the first event.
func (s *suite) resetAnywhere(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	hangs := deaf(t)
	f := func(state string, prepare func(c net.Conn, at ref)) {
		t.Helper()
		c, at := r.connect(addr)
		prepare(c, at)
		at.do(func(m *machine, h engine.Handle) { m.Reset(h); m.Reset(h) })
		_, err := io.Copy(io.Discard, c)
		require.True(t, isReset(err), "%s: the peer sees %v, not a reset", state, err)
		r.silence(10 * time.Millisecond)
	}
	queue := func(m *machine, h engine.Handle) { require.Positive(t, m.Send(h, make([]byte, clog))) }
	f("with bytes queued before FIN", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { queue(m, h); m.CloseWrite(h) })
	})
	f("after FIN from the peer, with bytes queued", func(c net.Conn, at ref) {
		c.(*net.TCPConn).CloseWrite()
		r.next("eof")
		at.do(queue)
	})
	f("paused, with FIN from the peer unseen", func(c net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
		c.Write([]byte("unread"))
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(5 * time.Millisecond)
	})
	f("with a timer due", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Arm(h, 1) })
		r.next("timer")
		at.do(func(m *machine, h engine.Handle) { m.Arm(h, 5*time.Millisecond) })
	})

	// Dials: hanging, with bytes and a FIN that wait for them, from the same event and from a later one.
	for _, later := range []bool{false, true} {
		var h engine.Handle
		r.post(0, func(m *machine) {
			h = m.Dial(hangs, 20*time.Millisecond)
			m.Pause(h)
			m.Send(h, []byte("waits"))
			m.CloseWrite(h)
			m.Arm(h, 10*time.Millisecond)
			if !later {
				m.Reset(h)
			}
		})
		if later {
			r.post(0, func(m *machine) { m.Reset(h) })
		}
	}
	r.silence(50 * time.Millisecond)

	// From within OnAccept and OnDial.
	heard := make(chan error, 2)
	up := upstream(t, "tcp", func(c net.Conn) { _, err := io.Copy(io.Discard, c); heard <- err })
	for _, m := range r.machines {
		log := m.hooks.dial
		m.hooks.dial = func(h engine.Handle) { log(h); m.Reset(h) }
	}
	r.post(0, func(m *machine) { m.Dial(up, patience) })
	r.next("dial")
	require.True(t, isReset(<-heard), "a dial that was reset as it opened")
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) {
			log := m.hooks.accept
			m.hooks.accept = func(h engine.Handle, tag int, from, to netip.AddrPort) { log(h, tag, from, to); m.Reset(h) }
		})
	}
	c, err := net.DialTimeout("tcp", addr, patience) // which may already fail
	if err == nil {
		defer c.Close()
		_, err = io.Copy(io.Discard, c)
	}
	r.next("accept")
	require.True(t, isReset(err), "reset in OnAccept: the peer sees %v", err)
	r.silence(10 * time.Millisecond)
}

// resetByPeerAnywhere: the same from the other end. Where the Handler is still there it hears of it once;
// where it has left, the descriptor does not stay.
func (s *suite) resetByPeerAnywhere(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	queue := func(m *machine, h engine.Handle) { require.Positive(t, m.Send(h, make([]byte, clog))) }
	f := func(state string, prepare func(c net.Conn, at ref)) {
		t.Helper()
		c, at := r.connect(addr)
		prepare(c, at)
		resetFrom(c)
		e := r.next("closed")
		require.Equal(t, at.h, e.at.h)
		require.True(t, isReset(e.err), "%s: OnClosed says %v", state, e.err)
		r.silence(10 * time.Millisecond)
	}
	f("with bytes queued before FIN", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { queue(m, h); m.CloseWrite(h) })
	})
	f("after FIN from the peer, with bytes queued", func(c net.Conn, at ref) {
		c.(*net.TCPConn).CloseWrite()
		r.next("eof")
		at.do(queue)
	})
	f("paused after FIN to the peer, with bytes queued", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Pause(h); queue(m, h); m.CloseWrite(h) })
	})

	// The Handler has closed, and what it sent is still on its way: nothing is heard, and nothing is kept. The
	// clients reset long before a driver would stop waiting for them to read.
	before := len(descriptors())
	for _, paused := range []bool{false, true} {
		c, at := r.connect(addr)
		at.do(func(m *machine, h engine.Handle) {
			if paused {
				m.Pause(h)
			}
			queue(m, h)
			m.Close(h)
		})
		c.Write([]byte("nobody listens"))
		resetFrom(c)
	}
	r.silence(20 * time.Millisecond)
	eventually(t, "closed connections give their descriptors back", func() bool { return len(descriptors()) <= before })

	// While being dialled: the other end resets at once, whether or not it has been accepted there.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for range 10 {
		r.post(0, func(m *machine) { m.Send(m.Dial(ln.Addr().String(), patience), []byte("hello")) })
		c, err := ln.Accept()
		require.NoError(t, err)
		resetFrom(c)
		e := <-r.events
		for e.kind == "dial" || e.kind == "writable" {
			e = <-r.events
		}
		require.Equal(t, "closed", e.kind)
		require.True(t, isReset(e.err), "OnClosed says %v", e.err)
	}
}

// resetInBacklog: clients that have come and gone before anybody accepts them, in every way. Each is
// reported from its beginning to its end or not at all, and those that stayed are served.
func (s *suite) resetInBacklog(t *testing.T) {
	r := s.loggedSoon(t)
	addr := r.listen(0)
	var stayed []net.Conn
	const rounds, ways = 4, 5
	for range rounds {
		for way := range ways {
			c := dial(t, addr)
			if way%2 == 1 {
				c.Write([]byte("last words"))
			}
			switch way {
			case 0, 1:
				resetFrom(c)
			case 2, 3:
				c.Close()
			default:
				stayed = append(stayed, c)
			}
		}
	}
	r.run()
	open := map[ref]bool{}
	for _, c := range stayed {
		c.Write([]byte("ping"))
	}
	for served := 0; served < len(stayed); {
		var e event
		select {
		case e = <-r.events:
		case <-time.After(patience):
			t.Fatalf("%d of %d that stayed are served\n%s", served, len(stayed), stacks())
		}
		switch e.kind {
		case "accept":
			open[e.at] = true
		case "closed":
			delete(open, e.at)
		case "eof":
			e.at.do(func(m *machine, h engine.Handle) { m.Close(h) })
			delete(open, e.at)
		case "data":
			if e.data == "ping" {
				served++
			}
		}
	}
	for len(open) > len(stayed) {
		e := <-r.events
		switch e.kind {
		case "closed":
			delete(open, e.at)
		case "eof":
			e.at.do(func(m *machine, h engine.Handle) { m.Close(h) })
			delete(open, e.at)
		}
	}
}
