package goroutine_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

func newEcho(l engine.Loop) engine.Handler { return &echo{l} }

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, time.Millisecond)
}

func TestConfig(t *testing.T) {
	for _, cfg := range []goroutine.Config{{Loops: -1}, {Linger: -1}} {
		_, err := goroutine.New(cfg, newEcho)
		require.Error(t, err)
	}
	d, err := goroutine.New(goroutine.Config{}, newEcho)
	require.NoError(t, err)
	require.Positive(t, d.Loops())
}

func TestRunsOnce(t *testing.T) {
	d, err := goroutine.New(goroutine.Config{}, newEcho)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, d.Run(ctx))
	require.Error(t, d.Run(ctx))
}

func TestStats(t *testing.T) {
	d, addr := serve(t, goroutine.Config{}, newEcho)
	_, relays := serve(t, goroutine.Config{}, newRelay(addr))
	c := dial(t, relays)
	_, err := io.WriteString(c, "count me")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 8))
	require.NoError(t, err)
	want := goroutine.Stats{Accepted: 1, Open: 1, In: 8, Out: 8}
	eventually(t, func() bool { return d.Stats() == want }) // the bytes arrive before they are counted
	c.Close()
	eventually(t, func() bool { return d.Stats().Open == 0 })
}

func TestStatsOfDials(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d, _ := serve(t, goroutine.Config{Loops: 1}, newEcho)
	d.Post(0, func(l engine.Loop, _ engine.Handler) { l.Dial(ln.Addr().String(), time.Second) })
	eventually(t, func() bool { return d.Stats().Dialled == 1 && d.Stats().Open == 1 })
	ln.Close()
	d.Post(0, func(l engine.Loop, _ engine.Handler) { l.Dial(ln.Addr().String(), time.Second) })
	eventually(t, func() bool { return d.Stats().DialErrors == 1 })
}

// watcher reads nothing after its first bytes, and says when it hears the end of a connection.
type watcher struct {
	echo
	events chan string
}

func (w *watcher) OnData(h engine.Handle, _ []byte) {
	w.l.Pause(h)
	w.events <- "data"
}
func (w *watcher) OnEOF(engine.Handle)               { w.events <- "eof" }
func (w *watcher) OnClosed(_ engine.Handle, _ error) { w.events <- "closed" }

// A reset is noticed though nobody reads and nobody sends: the peer of a stalled transfer may be gone.
func TestResetIsNoticedWithoutReading(t *testing.T) {
	events := make(chan string, 10)
	_, addr := serve(t, goroutine.Config{}, func(l engine.Loop) engine.Handler { return &watcher{echo{l}, events} })
	f := func(want string, before func(c *net.TCPConn)) {
		t.Helper()
		c := dial(t, addr).(*net.TCPConn)
		before(c)
		require.Equal(t, want, <-events)
		time.Sleep(10 * time.Millisecond) // for the reader to wait again
		c.SetLinger(0)
		c.Close()
		require.Equal(t, "closed", <-events)
	}
	f("data", func(c *net.TCPConn) { io.WriteString(c, "x") })
	f("eof", func(c *net.TCPConn) { c.CloseWrite() })
}

// sender sends a lot to whoever connects, and closes.
type sender struct{ echo }

func (s *sender) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	s.l.Send(h, make([]byte, 16<<20))
	s.l.Close(h)
}

// A peer that takes nothing of what is queued after Close holds the descriptor for Config.Linger, no longer.
func TestLingerEnds(t *testing.T) {
	const linger = 300 * time.Millisecond
	_, addr := serve(t, goroutine.Config{Linger: linger}, func(l engine.Loop) engine.Handler { return &sender{echo{l}} })
	sockets := func() (n int) { // towards addr's port, whoever holds them
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, e := range entries {
			if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, "socket:") {
				n++
			}
		}
		return n
	}
	before := sockets()
	from := time.Now()
	c := dial(t, addr)
	eventually(t, func() bool { return sockets() == before+2 })
	eventually(t, func() bool { return sockets() == before+1 })
	require.GreaterOrEqual(t, time.Since(from), linger)
	n, err := io.Copy(io.Discard, c)
	require.True(t, err != nil || n < 16<<20, "the peer got everything though it never read")
}

// Progress renews the time: a slow peer gets everything, however long it takes.
func TestLingerWaitsForTheSlow(t *testing.T) {
	const linger = 800 * time.Millisecond
	_, addr := serve(t, goroutine.Config{Linger: linger}, func(l engine.Loop) engine.Handler { return &sender{echo{l}} })
	c := dial(t, addr)
	from, total, b := time.Now(), 0, make([]byte, 2<<20)
	for {
		n, err := io.ReadFull(c, b)
		if total += n; err != nil {
			require.True(t, err == io.EOF || err == io.ErrUnexpectedEOF, "after %d bytes: %v", total, err)
			break
		}
		time.Sleep(linger / 5)
	}
	require.Equal(t, 16<<20, total)
	require.Greater(t, time.Since(from), linger)
}

// Out of descriptors: accept waits longer and longer instead of spinning, says so, and counts it.
func TestAcceptErrors(t *testing.T) {
	var mu sync.Mutex
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(b)
	}), nil))
	d, addr := serve(t, goroutine.Config{Logger: log}, newEcho)

	to := netip.MustParseAddrPort(addr)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
	eventually(t, func() bool { return d.Stats().AcceptErrors > 0 })
	time.Sleep(200 * time.Millisecond)
	require.Less(t, d.Stats().AcceptErrors, uint64(10), "5, 10, 20, 40, 80, 160 ms")
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, said.String(), "too many open files")
	require.Contains(t, said.String(), addr)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
