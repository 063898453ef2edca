package conformance

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// drain: what a session machine does at its end. The listener closes, idle connections close, busy ones
// get the rest of their answer however slowly they read, and then Run has nothing left to end.
func (s *suite) drain(t *testing.T) {
	const busy, answer = 1, 6 << 20
	var closed atomic.Int64
	body := make([]byte, answer)
	newStream(1).Read(body)
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			accept: func(h engine.Handle, tag int, _, _ netip.AddrPort) {
				if tag == busy {
					m.Send(h, body)
				}
			},
			closed: func(_ engine.Handle, err error) { closed.Add(1); t.Errorf("OnClosed says %v", err) },
		}
	})
	var listeners []engine.Listener
	for _, tag := range []int{0, busy} {
		ln, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0", Tag: tag})
		require.NoError(t, err)
		listeners = append(listeners, ln)
	}
	idle, slow := make([]net.Conn, 24), make([]net.Conn, 12)
	for i := range idle {
		idle[i] = dial(t, listeners[0].Addr().String())
	}
	for i := range slow {
		slow[i] = dial(t, listeners[1].Addr().String())
	}
	known := func() (n int) {
		for i := range r.driver.Loops() {
			r.post(i, func(m *machine) { n += len(m.conns) })
		}
		return n
	}
	eventually(t, "all are accepted", func() bool { return known() == len(idle)+len(slow) })

	for _, ln := range listeners {
		require.NoError(t, ln.Close())
		if c, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second); err == nil {
			c.Close()
			t.Error("a closed listener took a connection")
		}
	}
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) {
			for h := range m.conns {
				m.Close(h) // after what is queued
			}
		})
	}
	var clients []func() error
	for _, c := range idle {
		clients = append(clients, func() error { return receive(c, 0, 0) })
	}
	for _, c := range slow {
		clients = append(clients, func() error {
			time.Sleep(50 * time.Millisecond)
			return receive(c, 1, answer)
		})
	}
	require.NoError(t, together(clients...))
	r.stop(nil)
	require.Zero(t, closed.Load())
}
