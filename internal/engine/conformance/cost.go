package conformance

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/invariant"
)

// RunAllocs holds a driver to allocating nothing for bytes that come and go. Give it a test of its own, with
// Alloc in its name: `make test` runs those without the race detector.
func RunAllocs(t *testing.T, newDriver NewCounted) {
	if invariant.On {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	f := func(name string, size int, path func() string) {
		t.Helper()
		c := dial(t, path())
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
	echo := func() string { _, addr := newDriver.serve(t, loopkit.Config{Loops: 1}, newEchoer); return addr }
	relay := func() string {
		_, addr := newDriver.serve(t, loopkit.Config{Loops: 1}, newPasser(echo()))
		return addr
	}
	f("one write each way", 200, echo)
	f("several reads", 100_000, echo)
	f("relayed", 200, relay)
	t.Run("Queueing", newDriver.allocsWhenQueueing)
}

// burster answers everything with more than the kernel takes at once.
type burster struct {
	echoer
	b []byte
}

func (s *burster) OnData(h engine.Handle, _ []byte) { s.l.Send(h, s.b) }

// The queue and its pages are used again too.
func (f NewCounted) allocsWhenQueueing(t *testing.T) {
	const burst = 8 << 20
	d, addr := f.serve(t, loopkit.Config{Loops: 1}, func(l engine.Loop) engine.Handler {
		return &burster{echoer{l}, make([]byte, burst)}
	})
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
	const pages = n * burst / loopkit.PageSize
	require.Less(t, after.Mallocs-before.Mallocs, uint64(pages/4), "allocations for %d pages", pages)
	require.GreaterOrEqual(t, d.Stats().Out, uint64(n*burst))
}

// RunIdleMemory holds a driver to a limit for connections on which nothing moves, neither before their first
// bytes nor after; the client's end is included.
func RunIdleMemory(t *testing.T, newDriver NewCounted, limit uint64) {
	if invariant.On {
		t.Skip("the race detector has memory of its own")
	}
	const n = 400
	_, addr := newDriver.serve(t, loopkit.Config{Loops: 2}, newEchoer)
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
	require.Less(t, perConn, limit)
	runtime.KeepAlive(conns)
}

// Bench measures echoes, and relays, which are echoes one hop away: two connections and four writes for
// each. The clients share the processors with the driver: compare runs with each other only.
func Bench(b *testing.B, newDriver NewCounted) {
	echo := func(b *testing.B) string {
		_, addr := newDriver.serve(b, loopkit.Config{}, newEchoer)
		return addr
	}
	relay := func(b *testing.B) string {
		_, addr := newDriver.serve(b, loopkit.Config{}, newPasser(echo(b)))
		return addr
	}
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("echo/conns=%d", conns), func(b *testing.B) { exchange(b, echo(b), conns, 200) })
		b.Run(fmt.Sprintf("relay/conns=%d", conns), func(b *testing.B) { exchange(b, relay(b), conns, 200) })
	}
	b.Run("relay/bytes", func(b *testing.B) { bulk(b, relay(b)) })
	b.Run("join/bytes", func(b *testing.B) {
		_, addr := newDriver.serve(b, loopkit.Config{}, newMatchmaker(echo(b)))
		bulk(b, addr)
	})
}

// matchmaker is a passer that joins, where its loop can.
type matchmaker struct{ passer }

func newMatchmaker(upstream string) engine.NewHandler {
	return func(l engine.Loop) engine.Handler {
		return &matchmaker{*newPasser(upstream)(l).(*passer)}
	}
}

func (r *matchmaker) OnDial(h engine.Handle) {
	if j, ok := r.l.(engine.Joiner); ok {
		j.Join(h, r.peer[h])
	}
}

func bulk(b *testing.B, addr string) {
	c := dialFor(b, addr)
	chunk := make([]byte, 256<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	go func() {
		for range b.N {
			c.Write(chunk)
		}
	}()
	io.CopyN(io.Discard, c, int64(b.N)*int64(len(chunk)))
}

func dialFor(b *testing.B, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return c
}

func exchange(b *testing.B, addr string, conns, size int) {
	b.ReportAllocs()
	var clients sync.WaitGroup
	work := make(chan struct{}, 1024)
	for range conns {
		c := dialFor(b, addr)
		buf := make([]byte, size)
		clients.Go(func() {
			for range work {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	clients.Wait()
}
