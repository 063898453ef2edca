package conformance

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// echoing sends back what comes, with back-pressure, and closes when the peer has ended.
func echoing(m *machine) hooks {
	const limit = 64 << 10
	return hooks{
		data: func(h engine.Handle, b []byte) {
			if m.Send(h, b) > limit {
				m.Pause(h)
			}
		},
		writable: func(h engine.Handle) { m.Resume(h) },
		eof:      func(h engine.Handle) { m.Close(h) },
	}
}

// burstsAtOnce: many connections send more than a loop can have read, all while the loops are busy. Whatever
// a driver reads into, there is not enough of it for all of them at once.
func (s *suite) burstsAtOnce(t *testing.T) {
	conns, burst := size(400, 120), 96<<10
	r := s.start(t, echoing)
	addr := r.listen(0)
	all := make([]net.Conn, conns)
	for i := range all {
		all[i] = dial(t, addr)
	}
	var awake atomic.Bool
	for i := range r.driver.Loops() {
		r.driver.Post(i, func(_ engine.Loop, h engine.Handler) {
			defer h.(*machine).enter("Post")()
			for !awake.Load() {
				time.Sleep(time.Millisecond)
			}
		})
	}
	var clients []func() error
	for i, c := range all {
		clients = append(clients,
			func() error { return send(c, uint64(i), burst, nil) },
			func() error { return receive(c, uint64(i), burst) })
	}
	time.AfterFunc(50*time.Millisecond, func() { awake.Store(true) })
	require.NoError(t, together(clients...))
}

// heldBuffers: connections that are paused with bytes on the way to them take nothing from the others,
// and lose nothing themselves.
func (s *suite) heldBuffers(t *testing.T) {
	held, burst := size(300, 100), 128<<10
	const holder = 1
	var paused atomic.Int64
	release := make([][]engine.Handle, 64)
	r := s.start(t, func(m *machine) hooks {
		h, waiting := echoing(m), map[engine.Handle]bool{}
		data := h.data
		h.accept = func(h engine.Handle, tag int, _, _ netip.AddrPort) { waiting[h] = tag == holder }
		h.data = func(h engine.Handle, b []byte) {
			data(h, b)
			if waiting[h] {
				delete(waiting, h)
				m.Pause(h)
				release[m.index] = append(release[m.index], h)
				paused.Add(1)
			}
		}
		writable := h.writable
		h.writable = func(h engine.Handle) { // of a held one only its answer to the first bytes
			for _, p := range release[m.index] {
				if p == h {
					return
				}
			}
			writable(h)
		}
		return h
	})
	addr, holders := r.listen(0), r.listen(holder)
	var clients []func() error
	for i := range held {
		c := dial(t, holders)
		clients = append(clients,
			func() error { return send(c, uint64(i), burst, nil) },
			func() error { return receive(c, uint64(i), burst) })
	}
	done := make(chan error, 1)
	go func() { done <- together(clients...) }()
	eventually(t, "all are paused", func() bool { return int(paused.Load()) == held })

	var others []func() error
	for i := range 8 {
		c := dial(t, addr)
		others = append(others, func() error { return pingPong(c, i, 50, 8<<10) })
	}
	require.NoError(t, together(others...), "beside connections that are paused")
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) {
			all := release[i]
			release[i] = nil
			for _, h := range all {
				m.Resume(h)
			}
		})
	}
	require.NoError(t, <-done)
}

// pingPong has n messages of this size come back, one after the other.
func pingPong(c net.Conn, who, n, size int) error {
	s, b, got := newStream(uint64(who)), make([]byte, size), make([]byte, size)
	for i := range n {
		s.Read(b)
		if _, err := c.Write(b); err != nil {
			return fmt.Errorf("client %d, message %d: %w", who, i, err)
		}
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("client %d, answer %d: %w", who, i, err)
		}
		if string(got) != string(b) {
			return fmt.Errorf("client %d, answer %d is not its own", who, i)
		}
	}
	return nil
}
