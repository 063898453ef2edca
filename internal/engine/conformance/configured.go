package conformance

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// A Counted is a driver that counts what it does.
type Counted interface {
	engine.Driver
	Stats() loopkit.Stats
}

// NewCounted makes a driver with this configuration.
type NewCounted func(cfg loopkit.Config, newHandler engine.NewHandler) (Counted, error)

// RunConfigured tests what every driver does with its configuration, and what it counts.
func RunConfigured(t *testing.T, newDriver NewCounted) {
	for _, test := range []struct {
		name string
		run  func(NewCounted, *testing.T)
	}{
		{"Config", NewCounted.config},
		{"RunsOnce", NewCounted.runsOnce},
		{"Stats", NewCounted.stats},
		{"StatsOfDials", NewCounted.statsOfDials},
		{"ResetWithoutReading", NewCounted.resetWithoutReading},
		{"LingerEnds", NewCounted.lingerEnds},
		{"LingerWaitsForTheSlow", NewCounted.lingerWaitsForTheSlow},
		{"AcceptErrors", NewCounted.acceptErrors},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newDriver, t) })
	}
}

// serve runs a driver with one listener until the test ends.
func (f NewCounted) serve(t testing.TB, cfg loopkit.Config, newHandler engine.NewHandler) (Counted, string) {
	t.Helper()
	d, err := f(cfg, newHandler)
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	d.Each(func(engine.Loop, engine.Handler) {}) // it has all it needs
	return d, ln.Addr().String()
}

// echoer sends back what it gets, moves its timer with every event as a session with an idle timeout does,
// and stops reading while more than 64 KiB wait to be sent.
type echoer struct{ l engine.Loop }

func newEchoer(l engine.Loop) engine.Handler { return &echoer{l} }

func (e *echoer) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {}
func (e *echoer) OnDial(engine.Handle)                                        {}
func (e *echoer) OnData(h engine.Handle, b []byte) {
	e.l.Arm(h, time.Minute)
	if e.l.Send(h, b) > 64<<10 {
		e.l.Pause(h)
	}
}
func (e *echoer) OnEOF(h engine.Handle)         { e.l.Close(h) }
func (e *echoer) OnWritable(h engine.Handle)    { e.l.Resume(h) }
func (e *echoer) OnClosed(engine.Handle, error) {}
func (e *echoer) OnTimer(engine.Handle)         {}

// passer relays between a client and the connection it dials for it.
type passer struct {
	echoer
	upstream string
	peer     map[engine.Handle]engine.Handle
}

func newPasser(upstream string) engine.NewHandler {
	return func(l engine.Loop) engine.Handler {
		return &passer{echoer{l}, upstream, map[engine.Handle]engine.Handle{}}
	}
}

func (r *passer) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	up := r.l.Dial(r.upstream, patience)
	r.peer[h], r.peer[up] = up, h
}

func (r *passer) OnData(h engine.Handle, b []byte) {
	if r.l.Send(r.peer[h], b) > 256<<10 {
		r.l.Pause(h)
	}
}

func (r *passer) OnWritable(h engine.Handle) { r.l.Resume(r.peer[h]) }
func (r *passer) OnEOF(h engine.Handle)      { r.l.CloseWrite(r.peer[h]) }
func (r *passer) OnClosed(h engine.Handle, _ error) {
	r.l.Reset(r.peer[h])
	delete(r.peer, r.peer[h])
	delete(r.peer, h)
}

func (f NewCounted) config(t *testing.T) {
	for _, cfg := range []loopkit.Config{{Loops: -1}, {Linger: -1}} {
		_, err := f(cfg, newEchoer)
		require.Error(t, err)
	}
	d, err := f(loopkit.Config{}, newEchoer)
	require.NoError(t, err)
	require.Positive(t, d.Loops())
}

func (f NewCounted) runsOnce(t *testing.T) {
	d, err := f(loopkit.Config{}, newEchoer)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, d.Run(ctx))
	require.Error(t, d.Run(ctx))
}

func (f NewCounted) stats(t *testing.T) {
	d, addr := f.serve(t, loopkit.Config{}, newEchoer)
	_, relays := f.serve(t, loopkit.Config{}, newPasser(addr))
	c := dial(t, relays)
	_, err := io.WriteString(c, "count me")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 8))
	require.NoError(t, err)
	want := loopkit.Stats{Accepted: 1, Open: 1, In: 8, Out: 8}
	eventually(t, "the right counts", func() bool { return d.Stats() == want }) // the bytes arrive before they are counted
	c.Close()
	eventually(t, "none is open", func() bool { return d.Stats().Open == 0 })
}

func (f NewCounted) statsOfDials(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d, _ := f.serve(t, loopkit.Config{Loops: 1}, newEchoer)
	d.Post(0, func(l engine.Loop, _ engine.Handler) { l.Dial(ln.Addr().String(), time.Second) })
	eventually(t, "the dial is counted", func() bool { return d.Stats().Dialled == 1 && d.Stats().Open == 1 })
	ln.Close()
	d.Post(0, func(l engine.Loop, _ engine.Handler) { l.Dial(ln.Addr().String(), time.Second) })
	eventually(t, "the failed dial is counted", func() bool { return d.Stats().DialErrors == 1 })
}

// watcher reads nothing after its first bytes, and says when it hears the end of a connection.
type watcher struct {
	echoer
	events chan string
}

func (w *watcher) OnData(h engine.Handle, _ []byte) {
	w.l.Pause(h)
	w.events <- "data"
}
func (w *watcher) OnEOF(engine.Handle)               { w.events <- "eof" }
func (w *watcher) OnClosed(_ engine.Handle, _ error) { w.events <- "closed" }

// A reset is noticed though nobody reads and nobody sends: the peer of a stalled transfer may be gone.
func (f NewCounted) resetWithoutReading(t *testing.T) {
	events := make(chan string, 10)
	_, addr := f.serve(t, loopkit.Config{}, func(l engine.Loop) engine.Handler { return &watcher{echoer{l}, events} })
	after := func(want string, before func(c *net.TCPConn)) {
		t.Helper()
		c := dial(t, addr).(*net.TCPConn)
		before(c)
		require.Equal(t, want, <-events)
		time.Sleep(10 * time.Millisecond) // for the driver to wait again
		resetFrom(c)
		require.Equal(t, "closed", <-events)
	}
	after("data", func(c *net.TCPConn) { io.WriteString(c, "x") })
	after("eof", func(c *net.TCPConn) { c.CloseWrite() })
}

// sender sends a lot to whoever connects, and closes.
type sender struct{ echoer }

func newSender(l engine.Loop) engine.Handler { return &sender{echoer{l}} }

func (s *sender) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	s.l.Send(h, make([]byte, 16<<20))
	s.l.Close(h)
}

// A peer that takes nothing of what is queued after Close holds the descriptor for Config.Linger, no longer.
func (f NewCounted) lingerEnds(t *testing.T) {
	const linger = 300 * time.Millisecond
	_, addr := f.serve(t, loopkit.Config{Linger: linger}, newSender)
	before := len(descriptors())
	from := time.Now()
	c := dial(t, addr)
	eventually(t, "both ends are open", func() bool { return len(descriptors()) == before+2 })
	eventually(t, "only this end is", func() bool { return len(descriptors()) == before+1 })
	require.GreaterOrEqual(t, time.Since(from), linger)
	n, err := io.Copy(io.Discard, c)
	require.True(t, err != nil || n < 16<<20, "the peer got everything though it never read")
}

// Progress renews the time: a slow peer gets everything, however long it takes.
func (f NewCounted) lingerWaitsForTheSlow(t *testing.T) {
	const linger = 800 * time.Millisecond
	_, addr := f.serve(t, loopkit.Config{Linger: linger}, newSender)
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
func (f NewCounted) acceptErrors(t *testing.T) {
	var mu sync.Mutex
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(b)
	}), nil))
	d, addr := f.serve(t, loopkit.Config{Logger: log}, newEchoer)

	to := netip.MustParseAddrPort(addr)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	restore := noDescriptors(t)
	defer restore()
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
	eventually(t, "an error is counted", func() bool { return d.Stats().AcceptErrors > 0 })
	time.Sleep(200 * time.Millisecond)
	require.Less(t, d.Stats().AcceptErrors, uint64(10), "5, 10, 20, 40, 80, 160 ms")
	restore()
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, said.String(), "too many open files")
	require.Contains(t, said.String(), addr)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
