package uring_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/uring"
)

func TestConfig(t *testing.T) {
	for _, cfg := range []uring.Config{{Buffers: -1}, {Buffers: 3}, {Buffers: 1 << 16}, {BufferSize: -1}, {BufferSize: 1<<20 + 1}, {Large: 12}, {LargeSize: -1}} {
		_, err := uring.New(cfg, newEcho)
		require.Error(t, err, "%+v", cfg)
	}
}

// With two small buffers a loop, nearly every receive finds none free. Bytes wait in their sockets, and
// none is lost, nor any connection forgotten.
func TestFewBuffers(t *testing.T) {
	const conns, size, rounds = 64, 3000, 4
	few := uring.Config{Loops: 1, Buffers: 2, BufferSize: 64, Large: 2, LargeSize: 128}
	d, addr := serve(t, few, newEcho)
	_, relayed := serve(t, few, newRelay(addr))
	var clients sync.WaitGroup
	for i := range conns {
		c := dial(t, relayed)
		clients.Go(func() {
			b, got := bytes.Repeat([]byte{byte(i)}, size), make([]byte, size)
			for range rounds {
				c.Write(b)
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(b, got) {
					t.Errorf("connection %d: %v, or bytes of others", i, err)
					return
				}
			}
		})
	}
	clients.Wait()
	s := d.Stats()
	require.EqualValues(t, conns*size*rounds, s.In)
	require.EqualValues(t, conns*size*rounds, s.Out)
	require.Positive(t, d.Starved(), "there were always buffers: this tests nothing")
}

// events is a Handler that does nothing but tell.
type events struct {
	echo
	said chan string
}

func (e *events) OnData(h engine.Handle, _ []byte) {
	e.l.Pause(h)
	e.said <- "data"
}
func (e *events) OnEOF(engine.Handle)               { e.said <- "eof" }
func (e *events) OnWritable(engine.Handle)          { e.said <- "writable" }
func (e *events) OnClosed(_ engine.Handle, _ error) { e.said <- "closed" }

// hearer tells what it hears, and waits for nothing.
type hearer struct{ events }

func (e *hearer) OnData(_ engine.Handle, b []byte) { e.said <- string(b) }

// Bytes and the end that come while the loop is busy make one piece of news for the kernel. Both are told.
func TestBytesAndTheEndAtOnce(t *testing.T) {
	said := make(chan string, 10)
	d, addr := serve(t, uring.Config{Loops: 1}, func(l engine.Loop) engine.Handler { return &hearer{events{echo{l}, said}} })
	path := t.TempDir() + "/socket"
	_, err := d.Listen(engine.Bind{Addr: "unix:" + path})
	require.NoError(t, err)
	next := func() string {
		t.Helper()
		select {
		case s := <-said:
			return s
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is said")
			return ""
		}
	}
	f := func(network, addr, want string, end func(c net.Conn)) {
		t.Helper()
		c, err := net.Dial(network, addr)
		require.NoError(t, err)
		defer c.Close()
		for _, s := range []string{"first", "last"} { // the first makes sure that it waits for news
			var busy sync.WaitGroup
			busy.Add(1)
			if s == "last" {
				d.Post(0, func(engine.Loop, engine.Handler) { busy.Wait() })
				time.Sleep(5 * time.Millisecond)
			}
			io.WriteString(c, s)
			if s == "last" {
				end(c)
			}
			busy.Done()
			require.Equal(t, s, next())
		}
		require.Equal(t, want, next())
	}
	f("tcp", addr, "eof", func(c net.Conn) { c.(*net.TCPConn).CloseWrite() })
	f("tcp", addr, "closed", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() })
	f("unix", path, "eof", func(c net.Conn) { c.(*net.UnixConn).CloseWrite() })
	f("unix", path, "eof", func(c net.Conn) { c.Close() })
}

// holder reads nothing for a while, then tells how much there was.
type holder struct {
	events
	n int
}

func (e *holder) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	e.l.Pause(h)
	e.l.Arm(h, 50*time.Millisecond)
}
func (e *holder) OnTimer(h engine.Handle)          { e.l.Resume(h) }
func (e *holder) OnData(_ engine.Handle, b []byte) { e.n += len(b) }
func (e *holder) OnEOF(engine.Handle)              { e.said <- strconv.Itoa(e.n) }

// Bytes and the end that wait in a socket are found when it is read again. The buffers are small because it
// takes more than 32 for a multishot receive to overlook the end.
func TestEndBehindMuch(t *testing.T) {
	said := make(chan string, 10)
	d, _ := serve(t, uring.Config{Loops: 1, BufferSize: 512}, func(l engine.Loop) engine.Handler { return &holder{events{echo{l}, said}, 0} })
	path := t.TempDir() + "/socket"
	_, err := d.Listen(engine.Bind{Addr: "unix:" + path})
	require.NoError(t, err)
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	total := 0
	for c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err == nil; { // as much as has room
		var n int
		n, err = c.Write(make([]byte, 1000))
		total += n
	}
	require.NoError(t, c.(*net.UnixConn).CloseWrite())
	select {
	case n := <-said:
		require.Equal(t, strconv.Itoa(total), n)
	case <-time.After(10 * time.Second):
		t.Fatalf("no end after %d bytes", total)
	}
}

// asker sends as much as it is asked to, and tells what Send returned in the end.
type asker struct {
	events
	size, piece int
	waiting     chan int
}

func (a *asker) OnData(h engine.Handle, _ []byte) {
	n := 0
	for left := a.size; left > 0; left -= a.piece {
		n = a.l.Send(h, make([]byte, min(a.piece, left)))
	}
	a.waiting <- n
}

// Of small pieces, what fits one page is taken at once; beyond that Send counts all of it, and OnWritable
// comes. A large piece, and what is before it, is the kernel's when Send returns, where it has room.
func TestTaken(t *testing.T) {
	said, waiting := make(chan string, 100), make(chan int, 10)
	f := func(size, piece, want int) {
		t.Helper()
		_, addr := serve(t, uring.Config{Loops: 1}, func(l engine.Loop) engine.Handler {
			return &asker{events{echo{l}, said}, size, piece, waiting}
		})
		c := dial(t, addr)
		for range 3 { // the first leaves nothing behind
			io.WriteString(c, "x")
			require.Equal(t, want, <-waiting)
			_, err := io.ReadFull(c, make([]byte, size))
			require.NoError(t, err)
			if want > 0 {
				require.Equal(t, "writable", <-said)
			}
		}
		require.Empty(t, said)
	}
	f(1, 1, 0)
	f(20_000, 2000, 0)
	f(64_000, 4000, 64_000)
	f(64_000, 64_000, 0)
	f(64_000, 8200, 0)
	f(30_000, 8191, 30_000)
	f(45_000, 9000, 0)
}

// What the kernel does not take waits, also when the peer has ended its direction: a send that the kernel
// itself had wait would go to a thread then, one for each connection.
func TestWaitingForRoom(t *testing.T) {
	const size = 20 << 20
	said, waiting := make(chan string, 100), make(chan int, 10)
	d, addr := serve(t, uring.Config{Loops: 1}, func(l engine.Loop) engine.Handler {
		return &asker{events{echo{l}, said}, size, size, waiting}
	})
	path := t.TempDir() + "/socket"
	_, err := d.Listen(engine.Bind{Addr: "unix:" + path})
	require.NoError(t, err)
	f := func(c net.Conn, end func() error) {
		t.Helper()
		io.WriteString(c, "x")
		require.Positive(t, <-waiting)
		if end != nil {
			require.NoError(t, end())
			require.Equal(t, "eof", <-said)
		}
		time.Sleep(20 * time.Millisecond)
		threads, err := filepath.Glob("/proc/self/task/*/comm")
		require.NoError(t, err)
		for _, name := range threads {
			comm, _ := os.ReadFile(name)
			require.NotContains(t, string(comm), "iou-wrk")
		}
		_, err = io.ReadFull(c, make([]byte, size))
		require.NoError(t, err)
		require.Equal(t, "writable", <-said)
		if c.Close(); end == nil {
			require.Equal(t, "eof", <-said)
		}
	}
	for range 2 {
		c := dial(t, addr)
		f(c, nil)
		c = dial(t, addr)
		f(c, c.(*net.TCPConn).CloseWrite)
		for _, end := range []bool{false, true} {
			c, err := net.Dial("unix", path)
			require.NoError(t, err)
			if end {
				f(c, c.(*net.UnixConn).CloseWrite)
			} else {
				f(c, nil)
			}
		}
	}
}

// Bytes that counted as taken, to a peer that is gone: OnClosed tells.
func TestTakenAndLost(t *testing.T) {
	said := make(chan string, 10)
	d, addr := serve(t, uring.Config{Loops: 1}, func(l engine.Loop) engine.Handler { return &teller{events{echo{l}, said}} })
	c := dial(t, addr).(*net.TCPConn)
	require.NoError(t, c.CloseWrite())
	require.Equal(t, "eof", <-said)
	c.SetLinger(0)
	c.Close()
	require.Equal(t, "closed", <-said)
	require.Zero(t, d.Stats().Open)
}

// teller answers the end with a little, in its own time.
type teller struct{ events }

func (e *teller) OnEOF(h engine.Handle) {
	e.said <- "eof"
	time.Sleep(30 * time.Millisecond) // which a Handler may not do: for the peer to be gone
	if n := e.l.Send(h, []byte("too late")); n != 0 {
		e.said <- "waiting"
	}
}
