package proxy_test

import (
	"crypto/sha256"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

func TestStreamDelay(t *testing.T) {
	s := &shapes{up: traffic.Shape{Delay: 30 * time.Millisecond}, down: traffic.Shape{Delay: 50 * time.Millisecond}}
	f, r, c := shaped(t, s, opaque)
	c.data("early ")
	u := f.upstream(0)
	f.pass(10 * time.Millisecond)
	c.data("late")
	f.pass(20 * time.Millisecond)
	require.Equal(t, "early ", u.take())
	f.pass(10 * time.Millisecond)
	require.Equal(t, "late", u.take())
	u.data("answer")
	u.eof()
	f.pass(50*time.Millisecond - 1)
	require.Empty(t, c.take())
	require.False(t, c.fin)
	f.pass(1)
	require.Equal(t, "answer", c.take())
	require.True(t, c.fin && !c.closed, "an end is passed on behind what came before it")
	c.data("bye")
	c.eof()
	require.False(t, u.fin)
	f.pass(30 * time.Millisecond)
	require.Equal(t, "bye", u.take())
	require.True(t, u.closed && c.closed)
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagOpaque, x.flags)
	require.Equal(t, int64(len("early latebye")), x.in)
	require.Equal(t, int64(len("answer")), x.out)
}

func TestStreamLimit(t *testing.T) {
	f := func(s shapes, want string) (*fakeConn, *fakeConn) {
		t.Helper()
		f, r, c := shaped(t, &s, opaque)
		u := f.upstream(0)
		u.data("0123456789")
		c.data("abcdefghij")
		f.pass(time.Millisecond)
		require.Equal(t, want, c.take()+u.take())
		require.True(t, u.closed)
		require.Equal(t, traffic.FlagOpaque|traffic.FlagFaultInjected, r.halves.wait(t, 1)[0].flags)
		return c, u
	}
	c, u := f(shapes{down: traffic.Shape{End: traffic.EndClose, Limit: 4}}, "0123")
	require.True(t, c.fin && !c.wasRST && !u.wasRST)
	c, u = f(shapes{down: traffic.Shape{End: traffic.EndReset, Limit: 4}}, "0123")
	require.True(t, c.wasRST && u.wasRST)
	c, u = f(shapes{up: traffic.Shape{End: traffic.EndClose, Limit: 4}}, "0123456789abcd")
	require.True(t, c.fin && !c.wasRST && !u.wasRST)
	c, _ = f(shapes{down: traffic.Shape{End: traffic.EndReset}}, "")
	require.True(t, c.wasRST, "at once")
}

func TestStreamHole(t *testing.T) {
	s := &shapes{down: traffic.Shape{Hole: true}}
	f, _, c := shaped(t, s, opaque)
	u := f.upstream(0)
	for range 100 {
		u.data(strings.Repeat("x", 10_000))
	}
	require.False(t, u.paused)
	require.Empty(t, c.take())
	c.data("the other direction goes on")
	require.NotEmpty(t, u.take())
	s.down = traffic.Shape{}
	u.data("again")
	require.Equal(t, "again", c.take())
	u.eof()
	require.True(t, c.fin)
}

func TestStreamLinger(t *testing.T) {
	f, _, c := shaped(t, &shapes{up: traffic.Shape{Linger: 30 * time.Millisecond}, down: traffic.Shape{Linger: 50 * time.Millisecond}}, opaque)
	u := f.upstream(0)
	u.data("all")
	require.Equal(t, "all", c.take())
	u.eof()
	c.eof()
	f.pass(30*time.Millisecond - 1)
	require.False(t, u.fin)
	f.pass(1)
	require.True(t, u.fin)
	f.pass(20*time.Millisecond - 1)
	require.False(t, c.fin)
	f.pass(1)
	require.True(t, c.closed && u.closed)
}

// An end of one direction cuts nothing off that waits in the other.
func TestStreamEndsOfBothDirections(t *testing.T) {
	f, _, c := shaped(t, &shapes{up: traffic.Shape{Delay: 50 * time.Millisecond}, down: traffic.Shape{Delay: 30 * time.Millisecond}}, opaque)
	u := f.upstream(0)
	c.data("up")
	c.eof()
	u.data("down")
	u.eof()
	f.pass(30 * time.Millisecond)
	require.Equal(t, "down", c.take())
	require.True(t, c.fin && !c.closed && !u.closed)
	f.pass(20 * time.Millisecond)
	require.Equal(t, "up", u.take())
	require.True(t, c.closed && u.closed)
}

// A stream that is always behind keeps no more than what it is behind by.
func TestDelayedStreamFillsNoMemory(t *testing.T) {
	f, _, c := shaped(t, &shapes{up: traffic.Shape{Delay: 50 * time.Millisecond}, down: traffic.Shape{Delay: 50 * time.Millisecond}}, opaque)
	u := f.upstream(0)
	piece := strings.Repeat("x", 10_000)
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	for range 5000 {
		u.data(piece)
		c.data(piece)
		f.pass(10 * time.Millisecond)
		u.take()
		c.take()
	}
	require.Less(t, int64(inUse()-before), int64(8<<20), "after 50 MB each way")
}

// What waits for longer than the idle time is no idle stream.
func TestWaitingStreamsAreNotIdle(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{Delay: time.Minute}}, opaque)
	u := f.upstream(0)
	u.data("late")
	f.pass(time.Minute)
	require.Equal(t, "late", c.take())
	f.pass(5 * time.Second)
	require.True(t, c.closed, "and now it is")
}

// Again is for what happens on a stream that carries nothing.
func TestStreamIsAskedAgain(t *testing.T) {
	s := &shapes{down: traffic.Shape{Hole: true, Again: 250 * time.Millisecond}}
	f, _, c := shaped(t, s, opaque)
	f.upstream(0)
	s.down = traffic.Shape{End: traffic.EndReset}
	f.pass(250*time.Millisecond - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.wasRST)
}

func TestReshape(t *testing.T) {
	s := &shapes{}
	f, r, c := shaped(t, s, opaque)
	u := f.upstream(0)
	u.data("hello")
	require.Equal(t, "hello", c.take())
	s.down = traffic.Shape{End: traffic.EndClose}
	f.pass(time.Second)
	require.False(t, c.fin, "nobody asks for nothing")
	r.Reshape()
	require.True(t, c.fin && u.closed)
}

// A shape that does nothing arms no timer but that of every stream, and idle streams still end.
func TestIdleShapedStreamsAreClosed(t *testing.T) {
	f := func(s traffic.Shape) {
		t.Helper()
		f, _, c := shaped(t, &shapes{down: s}, opaque)
		u := f.upstream(0)
		f.pass(5*time.Second - 1)
		u.data("x")
		f.pass(5*time.Second - 1)
		require.False(t, c.closed)
		f.pass(time.Millisecond)
		require.True(t, c.closed && u.closed)
	}
	f(traffic.Shape{})
	f(traffic.Shape{Rate: 1 << 30})
	f(traffic.Shape{Slice: 1, Pause: time.Millisecond, Again: 10 * time.Millisecond})
}

func TestShapedStreamFeelsBackPressure(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{Slice: 20_000}}, opaque)
	u := f.upstream(0)
	f.room = 1
	for range 100 {
		if !u.paused {
			u.data(strings.Repeat("x", 10_000))
		}
	}
	require.True(t, u.paused)
	require.Less(t, c.most, 100_000)
	for range 100 {
		c.drain()
	}
	require.False(t, u.paused)
}

// counting is a Shaper that slices, and counts how often it was asked.
type counting struct {
	shapes
	asked atomic.Int64
}

func (c *counting) Shape(d traffic.Direction) traffic.Shape {
	c.asked.Add(1)
	return c.shapes.Shape(d)
}

// More than all buffers on the way hold, both ways, through every driver.
func TestShapedStreamWithRealPeers(t *testing.T) { onEngines(t, shapedStreamWithRealPeers) }

func shapedStreamWithRealPeers(t *testing.T, on edit) {
	s := &counting{shapes: shapes{up: traffic.Shape{Delay: time.Millisecond}, down: traffic.Shape{Slice: 30_000, Delay: 2 * time.Millisecond}}}
	r := start(t, echoTCP(t), on, opaque, slot(proxy.Fault, harmed(traffic.Harm{Shaper: s})))
	sent := testkit.Noise(4<<20, 1)
	c := dial(t, r.addr).(*net.TCPConn)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(sent), sha256.Sum256(got), "%d of %d bytes", len(got), len(sent))
	x := r.halves.wait(t, 1)[0]
	require.EqualValues(t, len(sent), x.in)
	require.EqualValues(t, len(sent), x.out)
	require.Equal(t, traffic.FlagOpaque, x.flags)
	require.Greater(t, s.asked.Load(), int64(100))
}

// What has passed arrives before the reset that was asked for after it.
func TestResetAfterBytesWithRealPeers(t *testing.T) { onEngines(t, resetAfterBytesWithRealPeers) }

func resetAfterBytesWithRealPeers(t *testing.T, on edit) {
	r := start(t, echoTCP(t), on, opaque, slot(proxy.Fault, harmed(traffic.Harm{Shaper: &shapes{down: traffic.Shape{End: traffic.EndReset, Limit: 1000}}})))
	c := dial(t, r.addr)
	_, err := c.Write(make([]byte, 3000))
	require.NoError(t, err)
	got, err := io.ReadAll(c)
	require.ErrorContains(t, err, "reset")
	require.Len(t, got, 1000)
}

// The service's end may be what the Shaper is asked for, and lets go of everything at.
func TestEndAtWhichAllPasses(t *testing.T) {
	s := &shapes{down: traffic.Shape{Delay: time.Hour}}
	f, _, c := shaped(t, s, opaque)
	u := f.upstream(0)
	c.eof()
	u.data("all")
	s.down = traffic.Shape{}
	u.eof()
	require.Equal(t, "all", c.take())
	require.True(t, c.closed && u.closed)

	s.down = traffic.Shape{Delay: time.Hour}
	f, r, c := shaped(t, s)
	c.data(ask)
	u = f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\n\r\nbare")
	s.down = traffic.Shape{}
	u.eof()
	require.Contains(t, c.take(), "\r\n\r\nbare")
	require.True(t, c.closed)
	require.Zero(t, r.halves.wait(t, 1)[0].flags)
}
