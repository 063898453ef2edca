package conformance

import (
	"errors"
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

// join: the tests of engine.Joiner, for drivers whose loops are.
func (s *suite) join(t *testing.T) {
	var can atomic.Bool
	r := s.start(t, func(m *machine) hooks {
		_, ok := m.loop.(engine.Joiner)
		can.Store(ok)
		return hooks{}
	})
	r.stop(nil)
	if !can.Load() {
		t.Skip("the loops of this driver are no Joiners")
	}
	for _, test := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"Bulk", func(s *suite, t *testing.T) { s.joinBulk(t, "tcp", size(64<<20, 8<<20)) }},
		{"Unix", func(s *suite, t *testing.T) { s.joinBulk(t, "unix", size(16<<20, 4<<20)) }},
		{"Many", (*suite).joinMany},
		{"SlowReader", (*suite).joinSlowReader},
		{"HalfClose", (*suite).joinHalfClose},
		{"AfterQueue", (*suite).joinAfterQueue},
		{"HalfOver", (*suite).joinHalfOver},
		{"Reset", (*suite).joinReset},
		{"Timers", (*suite).joinTimers},
		{"Close", (*suite).joinClose},
		{"Refused", (*suite).joinRefused},
		{"Shutdown", (*suite).joinShutdown},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s, t) })
	}
}

// A couple joins each accepted connection with one it dials, once that is open, and holds the driver to
// what joined connections may say.
type couple struct {
	upstream string
	before   func(m *machine, client, up engine.Handle)                 // of Join
	after    func(m *machine, client, up engine.Handle)                 // of Join
	ended    func(m *machine, h engine.Handle, moved uint64, err error) // a joined connection
	timer    func(m *machine, h engine.Handle)
}

func (p *couple) hooks(m *machine) hooks {
	client, joined := map[engine.Handle]engine.Handle{}, map[engine.Handle]bool{}
	wrong := func(event string) func(engine.Handle) {
		return func(h engine.Handle) {
			if joined[h] {
				m.t.Errorf("%s for a joined connection", event)
			}
		}
	}
	return hooks{
		accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) {
			m.Pause(h)
			client[m.Dial(p.upstream, patience)] = h
		},
		dial: func(up engine.Handle) {
			h := client[up]
			if p.before != nil {
				p.before(m, h, up)
			}
			joined[h], joined[up] = true, true
			if !m.loop.(engine.Joiner).Join(h, up) {
				m.t.Error("Join refused two open connections")
			}
			m.conns[h].paused = false
			if p.after != nil {
				p.after(m, h, up)
			}
		},
		data:     func(h engine.Handle, b []byte) { wrong("OnData")(h) },
		eof:      wrong("OnEOF"),
		writable: wrong("OnWritable"),
		timer: func(h engine.Handle) {
			if p.timer != nil {
				p.timer(m, h)
			}
		},
		closed: func(h engine.Handle, err error) {
			if joined[h] && p.ended != nil {
				p.ended(m, h, m.loop.(engine.Joiner).Moved(h), err)
			}
			delete(joined, h)
		},
	}
}

// An ending is what OnClosed said of a joined connection.
type ending struct {
	m     *machine
	h     engine.Handle
	moved uint64
	err   error
}

// report makes p tell of the ends of connections.
func (p *couple) report() chan ending {
	ends := make(chan ending, 1000)
	p.ended = func(m *machine, h engine.Handle, moved uint64, err error) { ends <- ending{m, h, moved, err} }
	return ends
}

// echo hides what c can do from io.Copy, which would keep pipes for it.
func echo(c net.Conn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func nextEnding(t *testing.T, ends chan ending) ending {
	t.Helper()
	select {
	case e := <-ends:
		return e
	case <-time.After(patience):
		t.Fatalf("no OnClosed\n%s", stacks())
		panic("unreachable")
	}
}

// joinBulk: much, both ways at once; then OnClosed for both, who know how much it was.
func (s *suite) joinBulk(t *testing.T, network string, total int) {
	heard := make(chan error, 1)
	p := &couple{upstream: upstream(t, network, func(c net.Conn) {
		heard <- together(func() error { return send(c, 6, total, nil) }, func() error { return receive(c, 7, total) })
	})}
	ends := p.report()
	r := s.start(t, p.hooks)
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = "unix:" + t.TempDir() + "/join"
	}
	ln, err := r.driver.Listen(engine.Bind{Addr: addr})
	require.NoError(t, err)
	if network == "tcp" {
		addr = ln.Addr().String()
	}
	c := dial(t, addr)
	require.NoError(t, together(func() error { return send(c, 7, total, nil) }, func() error { return receive(c, 6, total) }))
	require.NoError(t, <-heard)
	for range 2 {
		e := nextEnding(t, ends)
		require.Equal(t, io.EOF, e.err)
		require.Equal(t, uint64(total), e.moved)
	}
}

// joinMany: pairs do not get into each other's way, whatever the size of their messages.
func (s *suite) joinMany(t *testing.T) {
	const pairs = 200
	sizeOf := func(i uint64) int { return 1 + int(i*i)%200_000 }
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) { echo(c); c.(*net.TCPConn).CloseWrite() })}
	ends := p.report()
	addr := s.start(t, p.hooks).listen(0)
	var clients []func() error
	for i := range uint64(pairs) {
		clients = append(clients, func() error {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(3 * patience))
			b := make([]byte, 10)
			for range 20 { // there and back before the stream
				c.Write(b)
				if _, err := io.ReadFull(c, b); err != nil {
					return fmt.Errorf("pair %d: %w", i, err)
				}
			}
			return together(func() error { return send(c, i, sizeOf(i), nil) }, func() error { return receive(c, i, sizeOf(i)) })
		})
	}
	require.NoError(t, together(clients...))
	for range 2 * pairs {
		require.Equal(t, io.EOF, nextEnding(t, ends).err)
	}
}

// joinSlowReader: who does not read stops who sends, and in the end has everything.
func (s *suite) joinSlowReader(t *testing.T) {
	total := size(48<<20, 24<<20)
	begin, heard := make(chan struct{}), make(chan error, 1)
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) {
		c.(*net.TCPConn).SetReadBuffer(64 << 10)
		<-begin
		heard <- receive(c, 3, total)
	})}
	c := dial(t, s.start(t, p.hooks).listen(0))
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
}

// joinHalfClose: the end of one direction is passed on, and the other goes on.
func (s *suite) joinHalfClose(t *testing.T) {
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) {
		b, _ := io.ReadAll(c)
		c.Write(append(b, " heard"...))
		c.(*net.TCPConn).CloseWrite()
	})}
	ends := p.report()
	// The end may have come before Join: the driver has not told, because the client is paused.
	c := dial(t, s.start(t, p.hooks).listen(0))
	c.Write([]byte("question"))
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "question heard", string(b))
	moved := nextEnding(t, ends).moved + nextEnding(t, ends).moved
	require.Equal(t, uint64(8+14), moved)
}

// joinAfterQueue: what was sent before Join goes first, to both.
func (s *suite) joinAfterQueue(t *testing.T) {
	const total = clog
	heard := make(chan error, 1)
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) {
		heard <- together(func() error { return receive(c, 1, total) }, func() error { return send(c, 2, 1<<20, nil) })
	})}
	p.before = func(m *machine, client, up engine.Handle) {
		b := make([]byte, total-5)
		newStream(1).Read(b)
		require.Positive(t, m.Send(up, b))
	}
	ends := p.report()
	c := dial(t, s.start(t, p.hooks).listen(0))
	rest := make([]byte, total)
	newStream(1).Read(rest)
	c.Write(rest[total-5:])
	c.(*net.TCPConn).CloseWrite()
	require.NoError(t, receive(c, 2, 1<<20))
	require.NoError(t, <-heard)
	require.Equal(t, uint64(5+1<<20), nextEnding(t, ends).moved+nextEnding(t, ends).moved)
}

// joinHalfOver: one direction may be over before Join, its end sent but still queued. It is not lost when
// the other direction ends too.
func (s *suite) joinHalfOver(t *testing.T) {
	const total = clog
	over := make(chan error, 2)
	to := upstream(t, "tcp", func(c net.Conn) {
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	})
	r := s.start(t, func(m *machine) hooks {
		var client engine.Handle
		return hooks{
			accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) {
				client = h
				m.Pause(h)
				m.Dial(to, patience)
			},
			eof: func(up engine.Handle) {
				b := make([]byte, total)
				newStream(1).Read(b)
				require.Positive(t, m.Send(client, b))
				m.CloseWrite(client)
				require.True(t, m.loop.(engine.Joiner).Join(client, up))
			},
			closed: func(_ engine.Handle, err error) { over <- err },
		}
	})
	c := dial(t, r.listen(0))
	c.(*net.TCPConn).CloseWrite()
	time.Sleep(50 * time.Millisecond) // both ends are known before anything of the queue moves
	require.NoError(t, receive(c, 1, total))
	for range 2 {
		require.Equal(t, io.EOF, <-over)
	}
}

// joinReset: a reset of either end reaches the other, also while bytes are under way, and OnClosed tells both.
func (s *suite) joinReset(t *testing.T) {
	theirs := make(chan net.Conn, 1)
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) {
		theirs <- c
		for { // until the test closes it
			if _, err := c.(*net.TCPConn).SyscallConn(); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
			if c.SetReadDeadline(time.Time{}) != nil {
				return
			}
		}
	})}
	ends := p.report()
	addr := s.start(t, p.hooks).listen(0)
	for _, busy := range []bool{false, true} {
		for _, fromClient := range []bool{true, false} {
			c := dial(t, addr)
			c.Write([]byte("x"))
			up := <-theirs
			io.ReadFull(up, make([]byte, 1))
			from, to := c, up
			if !fromClient {
				from, to = up, c
			}
			if busy { // more than anybody takes, towards the one that resets
				to.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				to.Write(make([]byte, 4*clog))
				to.SetWriteDeadline(time.Time{})
			}
			resetFrom(from)
			_, err := io.Copy(io.Discard, to)
			require.True(t, isReset(err), "busy %t, from the client %t: the other end sees %v", busy, fromClient, err)
			to.Close()
			for range 2 {
				err := nextEnding(t, ends).err
				require.True(t, isReset(err), "OnClosed says %v", err)
			}
		}
	}
}

// joinTimers: they still fire, and a Handler sees from Moved whether anything happens.
func (s *suite) joinTimers(t *testing.T) {
	fired := make(chan uint64, 100)
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) { echo(c) })}
	p.after = func(m *machine, client, _ engine.Handle) { m.Arm(client, 5*time.Millisecond) }
	p.timer = func(m *machine, h engine.Handle) {
		fired <- m.loop.(engine.Joiner).Moved(h)
		m.Arm(h, 5*time.Millisecond)
	}
	c := dial(t, s.start(t, p.hooks).listen(0))
	require.Zero(t, <-fired)
	b := make([]byte, 1000)
	c.Write(b)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	eventually(t, "Moved has grown", func() bool { return <-fired == 1000 })
}

// joinClose: a Handler ends one or both. What was under way arrives, and only who was not ended hears of it.
func (s *suite) joinClose(t *testing.T) {
	const total = clog
	begin, heard := make(chan struct{}), make(chan error)
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) {
		<-begin
		n, err := io.Copy(io.Discard, c)
		if err == nil && n == 0 {
			err = errors.New("nothing arrived")
		}
		heard <- err
	})}
	type pair struct {
		m          *machine
		client, up engine.Handle
	}
	pairs := make(chan pair, 1)
	p.after = func(m *machine, client, up engine.Handle) { pairs <- pair{m, client, up} }
	ends := p.report()
	r := s.start(t, p.hooks)
	addr := r.listen(0)
	f := func(end func(m *machine, p pair), told int) {
		t.Helper()
		c := dial(t, addr)
		at := <-pairs
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		c.Write(make([]byte, total))
		r.post(at.m.index, func(m *machine) { end(m, at) })
		for range told {
			e := nextEnding(t, ends)
			require.NotEqual(t, at.up, e.h)
			require.Error(t, e.err)
		}
		begin <- struct{}{}
		require.NoError(t, <-heard)
	}
	f(func(m *machine, p pair) { m.Close(p.up); m.Close(p.client) }, 0)
	f(func(m *machine, p pair) { m.Close(p.client); m.Close(p.up) }, 0)
	f(func(m *machine, p pair) { m.Close(p.up) }, 1)
	require.Empty(t, ends)
}

// joinRefused: connections that cannot be joined stay as they were.
func (s *suite) joinRefused(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	c, at := r.connect(addr)
	hangs := deaf(t)
	at.do(func(m *machine, h engine.Handle) {
		j := m.loop.(engine.Joiner)
		dialling := m.Dial(hangs, patience)
		for _, other := range []engine.Handle{0, h, dialling, h + 1<<32} {
			if j.Join(h, other) || j.Join(other, h) {
				t.Errorf("Join(%#x, %#x) is true", uint64(h), uint64(other))
			}
		}
		if j.Moved(h) != 0 || j.Moved(0) != 0 {
			t.Error("Moved without Join")
		}
		m.Close(dialling)
	})
	c.Write([]byte("ping"))
	require.Equal(t, "ping", r.nextData(4))
}

// joinShutdown: Run ends joined connections like all others.
func (s *suite) joinShutdown(t *testing.T) {
	cause := errors.New("the night is over")
	p := &couple{upstream: upstream(t, "tcp", func(c net.Conn) { echo(c) })}
	ends := p.report()
	r := s.start(t, p.hooks)
	addr := r.listen(0)
	for i := range 10 {
		c := dial(t, addr)
		n := 1 + i*30_000
		go c.Write(make([]byte, n))
		_, err := io.ReadFull(c, make([]byte, n))
		require.NoError(t, err)
		go c.Write(make([]byte, clog)) // nobody reads what comes back
	}
	r.stop(cause)
	require.Len(t, ends, 20)
	for range 20 {
		require.ErrorIs(t, (<-ends).err, cause)
	}
}
