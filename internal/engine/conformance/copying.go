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

// sendWhileDialling: what is sent, and the FIN, wait for the connection to open.
func (s *suite) sendWhileDialling(t *testing.T) {
	heard := make(chan error, 1)
	addr := upstream(t, "tcp", func(c net.Conn) { heard <- receive(c, 1, 100_000) })
	r := s.logged(t)
	r.post(0, func(m *machine) {
		h := m.Dial(addr, patience)
		b := make([]byte, 100_000)
		newStream(1).Read(b)
		require.Equal(t, 60_000, m.Send(h, b[:60_000]))
		require.Equal(t, 100_000, m.Send(h, b[60_000:]))
		m.CloseWrite(h)
	})
	r.next("dial")
	require.NoError(t, <-heard)
	r.next("writable")
	r.next("eof")
}

// anyChunking: bytes arrive the same however they were cut up.
func (s *suite) anyChunking(t *testing.T) {
	relay := &relay{limit: 64 << 10, upstream: upstream(t, "tcp", func(c net.Conn) {
		b := make([]byte, 7)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			for i := range n {
				c.Write(b[i : i+1])
			}
		}
	})}
	c := dial(t, s.start(t, relay.hooks).listen(0))
	const n = 3000
	require.NoError(t, together(
		func() error {
			sent := newStream(2)
			for at := 0; at < n; {
				b := make([]byte, min(1+at%13, n-at))
				sent.Read(b)
				if _, err := c.Write(b); err != nil {
					return err
				}
				at += len(b)
			}
			return c.(*net.TCPConn).CloseWrite()
		},
		func() error { return receive(c, 2, n) },
	))
}

// slowReader: when the far end does not read, the near end is made to stop, and what waits in between
// stays within bounds. In the end every byte arrives.
func (s *suite) slowReader(t *testing.T) {
	total := size(48<<20, 24<<20)
	begin, heard := make(chan struct{}), make(chan error, 1)
	relay := &relay{limit: 256 << 10, hold: true}
	relay.upstream = upstream(t, "tcp", func(c net.Conn) {
		c.(*net.TCPConn).SetReadBuffer(64 << 10)
		<-begin
		heard <- receive(c, 3, total)
	})
	c := dial(t, s.start(t, relay.hooks).listen(0))
	c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	var sent atomic.Int64
	failed := make(chan error, 1)
	go func() { failed <- send(c, 3, total, &sent) }()

	eventually(t, "the sender stops", func() bool {
		before := sent.Load()
		time.Sleep(300 * time.Millisecond)
		return before > 0 && sent.Load() == before
	})
	stopped := sent.Load() < int64(total)
	close(begin)
	require.True(t, stopped, "the sender got rid of everything though nobody read")
	require.NoError(t, <-heard)
	require.NoError(t, <-failed)
	require.LessOrEqual(t, relay.mostWaiting.Load(), int64(relay.limit)+relay.mostData.Load(), "bytes waiting")
	require.Positive(t, relay.mostWaiting.Load(), "the queue was never used: this tests nothing")
}

// slowWriter: a trickle from both ends arrives as a trickle.
func (s *suite) slowWriter(t *testing.T) {
	const n = 100
	trickle := func(c net.Conn, seed uint64) error {
		b := make([]byte, n)
		newStream(seed).Read(b)
		for i := range b {
			if _, err := c.Write(b[i : i+1]); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return c.(*net.TCPConn).CloseWrite()
	}
	heard := make(chan error, 1)
	relay := &relay{limit: 1, upstream: upstream(t, "tcp", func(c net.Conn) {
		heard <- together(func() error { return trickle(c, 4) }, func() error { return receive(c, 5, n) })
	})}
	c := dial(t, s.start(t, relay.hooks).listen(0))
	require.NoError(t, together(func() error { return trickle(c, 5) }, func() error { return receive(c, 4, n) }))
	require.NoError(t, <-heard)
}

// bulkBothWays: 64 MiB each way at once.
func (s *suite) bulkBothWays(t *testing.T) { s.bulk(t, "tcp", size(64<<20, 16<<20)) }

// unixSockets: the same on unix sockets.
func (s *suite) unixSockets(t *testing.T) { s.bulk(t, "unix", 4<<20) }

func (s *suite) bulk(t *testing.T, network string, total int) {
	heard := make(chan error, 1)
	relay := &relay{limit: 256 << 10, upstream: upstream(t, network, func(c net.Conn) {
		heard <- together(func() error { return send(c, 6, total, nil) }, func() error { return receive(c, 7, total) })
	})}
	r := s.start(t, relay.hooks)
	var addr string
	if network == "unix" {
		addr = "unix:" + t.TempDir() + "/relay"
		_, err := r.driver.Listen(engine.Bind{Addr: addr})
		require.NoError(t, err)
	} else {
		addr = r.listen(0)
	}
	c := dial(t, addr)
	require.NoError(t, together(func() error { return send(c, 7, total, nil) }, func() error { return receive(c, 6, total) }))
	require.NoError(t, <-heard)
}

// writableAfterQueue: OnWritable comes once, when all that waited has gone, and not before.
func (s *suite) writableAfterQueue(t *testing.T) {
	r := s.logged(t)
	c, at := r.connect(r.listen(0))
	const total = clog
	b := make([]byte, total)
	newStream(8).Read(b)
	at.do(func(m *machine, h engine.Handle) {
		first := m.Send(h, b[:total-1000])
		second := m.Send(h, b[total-1000:])
		if first <= 0 || first >= total || second <= 1000 || second > first+1000 {
			t.Errorf("%d bytes waited, then %d: of %d, nobody having read", first, second, total)
		}
	})
	r.silence(100 * time.Millisecond)
	go func() {
		for range r.events { // up to OnWritable
			break
		}
		at.do(func(m *machine, h engine.Handle) {
			if n := m.Send(h, []byte("and")); n != 0 {
				t.Errorf("%d bytes wait right after OnWritable", n)
			}
			m.Close(h)
		})
	}()
	got := make([]byte, total+3)
	n := 0
	for n < len(got) {
		k, err := c.Read(got[n:])
		require.NoError(t, err, "after %d bytes", n)
		n += k
	}
	require.True(t, string(got[total:]) == "and" && string(got[:total]) == string(b), "bytes differ")
}

// pauseHolds: nothing comes while paused, everything after.
func (s *suite) pauseHolds(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	c, at := r.connect(addr)
	at.do(func(m *machine, h engine.Handle) { m.Pause(h); m.Pause(h) })
	c.Write([]byte("held"))
	r.silence(50 * time.Millisecond)
	at.do(func(m *machine, h engine.Handle) { m.Resume(h); m.Resume(h) })
	require.Equal(t, "held", r.nextData(4))
	at.do(func(m *machine, h engine.Handle) { m.Resume(h); m.Pause(h); m.Resume(h); m.Pause(h) })
	c.Write([]byte("again"))
	c.(*net.TCPConn).CloseWrite()
	r.silence(50 * time.Millisecond)
	at.do(func(m *machine, h engine.Handle) { m.Resume(h) })
	require.Equal(t, "again", r.nextData(5))
	r.next("eof")

	// Paused with nothing to hold, and resumed before anything comes.
	c, at = r.connect(addr)
	at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
	at.do(func(m *machine, h engine.Handle) { m.Resume(h) })
	c.Write([]byte("later"))
	require.Equal(t, "later", r.nextData(5))
}

// pausingReader pauses after every OnData; bytes still arrive whole and in order.
func (s *suite) pausingReader(t *testing.T) {
	const total = 1 << 20
	want, at := newStream(9), 0
	done := make(chan struct{})
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) { m.Pause(h); m.Arm(h, time.Millisecond) },
			data: func(h engine.Handle, b []byte) {
				expect := make([]byte, len(b))
				want.Read(expect)
				if string(expect) != string(b) {
					t.Errorf("wrong bytes in %d..%d", at, at+len(b))
				}
				at += len(b)
				m.Pause(h)
				m.Arm(h, time.Millisecond)
			},
			timer: func(h engine.Handle) { m.Resume(h) },
			eof:   func(h engine.Handle) { m.Close(h); close(done) },
		}
	})
	require.NoError(t, send(dial(t, r.listen(0)), 9, total, nil))
	wait(t, done, "OnEOF")
	require.Equal(t, total, at)
}
