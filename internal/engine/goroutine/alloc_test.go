package goroutine_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/internal/invariant"
)

// serve runs a driver with one listener until the test ends.
func serve(t testing.TB, cfg goroutine.Config, newHandler engine.NewHandler) (*goroutine.Driver, string) {
	t.Helper()
	d, err := goroutine.New(cfg, newHandler)
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
	return d, ln.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// armed is an echo that moves its timer with every event, as a session with an idle timeout does.
type armed struct{ echo }

func (a *armed) OnData(h engine.Handle, b []byte) {
	a.l.Arm(h, time.Minute)
	a.echo.OnData(h, b)
}

func newArmed(l engine.Loop) engine.Handler { return &armed{echo{l}} }

func TestAllocsPerExchange(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	f := func(name string, size int) {
		t.Helper()
		_, addr := serve(t, goroutine.Config{Loops: 1}, newArmed)
		c := dial(t, addr)
		b := make([]byte, size)
		exchange := func() {
			c.Write(b)
			if _, err := io.ReadFull(c, b); err != nil {
				t.Error(err)
			}
		}
		for range 50 {
			exchange()
		}
		require.Zero(t, testing.AllocsPerRun(2000, exchange), name)
	}
	f("one write each way", 200)
	f("several reads", 100_000)
}

// The queue, its flusher and its pages are reused too.
func TestAllocsWhenQueueing(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	const burst = 8 << 20 // more than the kernel takes at once
	d, addr := serve(t, goroutine.Config{Loops: 1}, func(l engine.Loop) engine.Handler { return &burster{echo: echo{l}, b: make([]byte, burst)} })
	c := dial(t, addr)
	ask, got := []byte("x"), make([]byte, burst)
	exchange := func() {
		c.Write(ask)
		time.Sleep(2 * time.Millisecond)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		exchange()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 10
	for range n {
		exchange()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.Mallocs-before.Mallocs, uint64(n*burst/(32<<10)/4), "allocations for %d bursts of %d pages", n, burst/(32<<10))
	require.GreaterOrEqual(t, d.Stats().Out, uint64(n*burst))
}

type burster struct {
	echo
	b []byte
}

func (s *burster) OnData(h engine.Handle, _ []byte) { s.l.Send(h, s.b) }

// An idle connection holds no page: neither before its first bytes nor after.
func TestIdleMemory(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector has memory of its own")
	}
	const n = 400
	_, addr := serve(t, goroutine.Config{Loops: 2}, newArmed)
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC() // the second empties what sync.Pool kept over the first
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := inUse()
	conns := make([]net.Conn, n)
	b := make([]byte, 100)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	for _, c := range conns {
		c.Write(b)
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
	}
	time.Sleep(20 * time.Millisecond)
	perConn := (inUse() - before) / n
	t.Logf("%d bytes for each idle connection, the client's end included", perConn)
	require.Less(t, perConn, uint64(16<<10))
	runtime.KeepAlive(conns)
}
