package conformance

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// post: what one goroutine posts to a loop runs in that order, and as an event of its own.
func (s *suite) post(t *testing.T) {
	r := s.start(t, func(*machine) hooks { return hooks{} })
	const posters, each = 4, 500
	for loop := range r.driver.Loops() {
		var next [posters]int
		var ran atomic.Int64
		var posting []func() error
		for p := range posters {
			posting = append(posting, func() error {
				for i := range each {
					r.driver.Post(loop, func(_ engine.Loop, h engine.Handler) {
						m := h.(*machine)
						defer m.enter("Post")()
						if m.index != loop || next[p] != i {
							t.Errorf("loop %d ran post %d of poster %d, want loop %d, post %d", m.index, i, p, loop, next[p])
						}
						next[p]++
						ran.Add(1)
					})
				}
				return nil
			})
		}
		require.NoError(t, together(posting...))
		eventually(t, "all posts have run", func() bool { return ran.Load() == posters*each })
	}

	// From within an event: afterwards, not inside.
	order := make(chan string, 3)
	r.post(0, func(m *machine) {
		r.driver.Post(0, func(_ engine.Loop, h engine.Handler) {
			defer m.enter("inner Post")()
			order <- "inner"
		})
		order <- "outer"
	})
	require.Equal(t, "outer", <-order)
	require.Equal(t, "inner", <-order)
}

// postOutsideRun: posts made before Run wait for it; those after are dropped.
func (s *suite) postOutsideRun(t *testing.T) {
	r := s.prepare(t, func(*machine) hooks { return hooks{} })
	var early atomic.Int64
	for i := range r.driver.Loops() {
		r.driver.Post(i, func(engine.Loop, engine.Handler) { early.Add(1) })
	}
	require.Zero(t, early.Load())
	r.run()
	eventually(t, "early posts have run", func() bool { return int(early.Load()) == r.driver.Loops() })
	r.stop(nil)
	for i := range r.driver.Loops() {
		r.driver.Post(i, func(engine.Loop, engine.Handler) { t.Error("a post ran after Run") })
	}
	returned := make(chan struct{})
	go func() {
		r.driver.Each(func(engine.Loop, engine.Handler) { t.Error("Each ran after Run") })
		close(returned)
	}()
	wait(t, returned, "Each after Run")
}

// each: every loop once, with its own Handler, and done when Each returns.
func (s *suite) each(t *testing.T) {
	r := s.start(t, func(*machine) hooks { return hooks{} })
	seen := map[engine.Handler]int{}
	lock := make(chan struct{}, 1)
	r.driver.Each(func(l engine.Loop, h engine.Handler) {
		m := h.(*machine)
		defer m.enter("Each")()
		lock <- struct{}{}
		seen[h]++
		<-lock
		if l != m.loop {
			t.Error("Each gave the loop of another handler")
		}
	})
	require.Len(t, seen, r.driver.Loops())
	for _, n := range seen {
		require.Equal(t, 1, n)
	}
}

// shutdown: Run ends every connection, whatever it is doing, tells the Handler, and leaves nothing. The rig
// checks the last.
func (s *suite) shutdown(t *testing.T) {
	r := s.logged(t)
	addr, hangs := r.listen(0), deaf(t)
	expect := map[ref]bool{}
	f := func(prepare func(c net.Conn, at ref)) {
		c, at := r.connect(addr)
		prepare(c, at)
		expect[at] = true
	}
	for range r.driver.Loops() {
		f(func(net.Conn, ref) {})
		f(func(c net.Conn, at ref) {
			at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
			c.Write([]byte("unread"))
		})
		f(func(_ net.Conn, at ref) { at.do(func(m *machine, h engine.Handle) { m.Send(h, make([]byte, clog)) }) })
		f(func(c net.Conn, _ ref) { c.(*net.TCPConn).CloseWrite(); r.next("eof") })
		f(func(_ net.Conn, at ref) { at.do(func(m *machine, h engine.Handle) { m.CloseWrite(h) }) })
		f(func(_ net.Conn, at ref) { at.do(func(m *machine, h engine.Handle) { m.Arm(h, time.Hour) }) })
	}
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) { expect[ref{r, m, m.Dial(hangs, time.Hour)}] = true })
	}
	_, at := r.connect(addr) // closed by the Handler, but its peer does not read: no event, and it holds up nothing
	at.do(func(m *machine, h engine.Handle) { m.Send(h, make([]byte, clog)); m.Close(h) })

	r.stop(nil)
	for len(expect) > 0 {
		e := r.next("closed")
		require.True(t, expect[e.at], "OnClosed for something else, or twice")
		require.ErrorIs(t, e.err, context.Canceled)
		delete(expect, e.at)
	}
	require.Empty(t, r.events)
}

// shutdownCause: OnClosed tells the cause of the context's end. What the Handler starts in its despair
// comes to nothing.
func (s *suite) shutdownCause(t *testing.T) {
	cause := errors.New("the night is over")
	heard := make(chan error, 16)
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) { m.Arm(h, time.Hour) },
			closed: func(h engine.Handle, err error) {
				heard <- err
				if again := m.loop.Dial("127.0.0.1:1", patience); again != 0 {
					t.Errorf("Dial returned %#x while Run was ending: nothing would follow", uint64(again))
				}
				m.Send(h, []byte("x"))
				m.Arm(h, 1)
			},
		}
	})
	c := dial(t, r.listen(0))
	c.Write([]byte("x"))
	eventually(t, "the connection is known", func() bool {
		var known atomic.Bool
		r.driver.Each(func(_ engine.Loop, h engine.Handler) {
			if len(h.(*machine).conns) > 0 {
				known.Store(true)
			}
		})
		return known.Load()
	})
	r.stop(cause)
	require.Len(t, heard, 1)
	require.ErrorIs(t, <-heard, cause)
}

// churn: connections that come and go in every way, many at once, while posts run.
func (s *suite) churn(t *testing.T) {
	relay := &relay{limit: 4 << 10, upstream: upstream(t, "tcp", func(c net.Conn) {
		b := make([]byte, 1<<10)
		for n := 0; ; {
			k, err := c.Read(b)
			if n += k; err != nil || n > 200<<10 {
				if n%2 == 1 {
					resetFrom(c)
				}
				return
			}
			c.Write(b[:k])
		}
	})}
	r := s.start(t, relay.hooks)
	addr := r.listen(0)
	var clients []func() error
	for i := range 8 {
		clients = append(clients, func() error {
			draw := rand.New(rand.NewPCG(44, uint64(i)))
			for range size(100, 40) {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					return err
				}
				c.SetDeadline(time.Now().Add(patience))
				b := make([]byte, draw.IntN(20<<10))
				if draw.IntN(8) == 0 {
					b = make([]byte, 300<<10)
				}
				c.Write(b)
				switch draw.IntN(4) {
				case 0:
					resetFrom(c)
				case 1:
					c.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c)
				case 2:
					io.ReadFull(c, b)
				}
				c.Close()
				r.driver.Post(draw.IntN(r.driver.Loops()), func(_ engine.Loop, h engine.Handler) { h.(*machine).enter("Post")() })
			}
			return nil
		})
	}
	require.NoError(t, together(clients...))
}
