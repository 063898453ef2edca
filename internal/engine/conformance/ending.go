package conformance

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// isReset reports whether err says that the peer ended the connection roughly.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// resetFrom makes c's end come as RST.
func resetFrom(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// halfClose: either end may stop sending first; the other way stays open.
func (s *suite) halfClose(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)

	c, at := r.connect(addr)
	c.Write([]byte("question"))
	c.(*net.TCPConn).CloseWrite()
	require.Equal(t, "question", r.nextData(8))
	r.next("eof")
	r.silence(30 * time.Millisecond)
	at.do(func(m *machine, h engine.Handle) {
		m.Pause(h) // has nothing left to stop
		m.Resume(h)
		require.Zero(t, m.Send(h, []byte("answer")))
		m.Close(h)
	})
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "answer", string(b))

	c, at = r.connect(addr)
	at.do(func(m *machine, h engine.Handle) {
		m.Send(h, []byte("last"))
		m.CloseWrite(h)
		m.CloseWrite(h)
		require.Zero(t, m.Send(h, []byte("too late")))
	})
	b, err = io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "last", string(b))
	c.Write([]byte("more"))
	require.Equal(t, "more", r.nextData(4))
	c.Close()
	r.next("eof")
	at.do(func(m *machine, h engine.Handle) { m.Close(h) })
	r.silence(30 * time.Millisecond)
}

// closeAfterQueue: Close lets what was sent before go out, however slowly.
func (s *suite) closeAfterQueue(t *testing.T) {
	r := s.logged(t)
	c, at := r.connect(r.listen(0))
	const total = clog
	at.do(func(m *machine, h engine.Handle) {
		b := make([]byte, total)
		newStream(1).Read(b)
		require.Positive(t, m.Send(h, b))
		m.Close(h)
		require.Zero(t, m.Send(h, []byte("too late")))
	})
	r.silence(50 * time.Millisecond)
	require.NoError(t, receive(c, 1, total))
	r.silence(30 * time.Millisecond)
}

// closeWriteAfterQueue: so does CloseWrite, and reading goes on meanwhile.
func (s *suite) closeWriteAfterQueue(t *testing.T) {
	r := s.logged(t)
	c, at := r.connect(r.listen(0))
	const total = clog
	at.do(func(m *machine, h engine.Handle) {
		b := make([]byte, total)
		newStream(1).Read(b)
		require.Positive(t, m.Send(h, b))
		m.CloseWrite(h)
	})
	c.Write([]byte("still here"))
	require.Equal(t, "still here", r.nextData(10))
	require.NoError(t, receive(c, 1, total))
	r.next("writable")
	c.Close()
	r.next("eof")
}

// reset: the peer sees RST, whatever state the connection was in.
func (s *suite) reset(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	const afterFIN = "after FIN to the peer"
	f := func(state string, prepare func(c net.Conn, at ref)) {
		t.Helper()
		c, at := r.connect(addr)
		prepare(c, at)
		at.do(func(m *machine, h engine.Handle) { m.Reset(h) })
		_, err := io.Copy(io.Discard, c)
		if err == nil && state == afterFIN { // reading ended before the reset
			eventually(t, state+": writing fails", func() bool { _, err = c.Write([]byte("x")); return err != nil })
		}
		require.True(t, isReset(err), "%s: the peer sees %v, not a reset", state, err)
		r.silence(20 * time.Millisecond)
	}
	f("idle", func(net.Conn, ref) {})
	f("paused", func(c net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
		c.Write([]byte("unread"))
	})
	f("with bytes queued", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { require.Positive(t, m.Send(h, make([]byte, clog))) })
	})
	f("after FIN from the peer", func(c net.Conn, _ ref) {
		c.(*net.TCPConn).CloseWrite()
		r.next("eof")
	})
	f(afterFIN, func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.CloseWrite(h) })
	})
}

// resetByPeer: OnClosed comes once and says so.
func (s *suite) resetByPeer(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	f := func(state string, prepare, after func(c net.Conn, at ref)) {
		t.Helper()
		c, at := r.connect(addr)
		prepare(c, at)
		resetFrom(c)
		after(c, at)
		e := r.next("closed")
		require.Equal(t, at.h, e.at.h)
		require.True(t, isReset(e.err), "%s: OnClosed says %v", state, e.err)
		r.silence(20 * time.Millisecond)
	}
	nothing := func(net.Conn, ref) {}
	f("idle", nothing, nothing)
	f("with bytes queued", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { require.Positive(t, m.Send(h, make([]byte, clog))) })
	}, nothing)
	f("paused", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
	}, func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Resume(h) }) // OnClosed may have come already
	})
	f("after FIN to the peer", func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.CloseWrite(h) })
	}, nothing)
	f("after FIN from the peer", func(c net.Conn, _ ref) {
		c.(*net.TCPConn).CloseWrite()
		r.next("eof")
	}, func(_ net.Conn, at ref) {
		at.do(func(m *machine, h engine.Handle) { m.Send(h, []byte("x")) }) // OnClosed may have come already
	})
	f("paused, with bytes queued", func(c net.Conn, at ref) {
		c.Write([]byte("unread"))
		require.Equal(t, "unread", r.nextData(6))
		at.do(func(m *machine, h engine.Handle) {
			m.Pause(h)
			require.Positive(t, m.Send(h, make([]byte, clog)))
		})
		c.Write([]byte("unread")) // OnClosed must not wait for somebody to read this: nobody might
	}, nothing)
}

// lastWords: what the peer sent before it reset the connection is still handed over, as long as the
// kernel has it. It may be the answer that explains the reset.
func (s *suite) lastWords(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	f := func(resume func(m *machine, h engine.Handle)) {
		t.Helper()
		c, at := r.connect(addr)
		at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
		c.Write([]byte("too large"))
		resetFrom(c)
		time.Sleep(30 * time.Millisecond)
		at.do(resume)
		require.Equal(t, "too large", r.nextData(9))
		require.True(t, isReset(r.next("closed").err))
	}
	f(func(m *machine, h engine.Handle) { m.Resume(h) })
	f(func(m *machine, h engine.Handle) { m.Resume(h); m.Send(h, []byte("the rest of the request")) })
}
