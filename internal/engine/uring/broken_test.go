package uring

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// ending tells of OnClosed, and answers what it gets.
type ending struct {
	mute
	l     engine.Loop
	ended chan error
}

func (e *ending) OnData(h engine.Handle, b []byte)    { e.l.Send(h, b) }
func (e *ending) OnClosed(_ engine.Handle, err error) { e.ended <- err }

// When a ring is of no use any more, Run says why, every connection of every loop ends and hears so, and
// no descriptor is left.
func TestRingBreaksUnderLoad(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	const conns = 20
	files := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	before := files()
	ended := make(chan error, conns)
	d, err := New(Config{Loops: 2}, func(l engine.Loop) engine.Handler { return &ending{l: l, ended: ended} })
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() { result <- d.Run(context.Background()) }()
	var clients []net.Conn
	for range conns {
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		b := []byte("there and back")
		c.Write(b)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		clients = append(clients, c)
	}
	var ring int
	d.Post(0, func(l engine.Loop, _ engine.Handler) {
		for _, c := range l.(*loop).conns { // on their way when it happens
			l.Send(c.handle, make([]byte, 4<<20))
		}
		ring = l.(*loop).ring.fd
		l.(*loop).ring.fd = -1
	})
	require.ErrorIs(t, <-result, unix.EBADF)
	require.NoError(t, unix.Close(ring))
	for range conns {
		require.ErrorIs(t, <-ended, unix.EBADF)
	}
	require.Zero(t, d.Stats().Open)
	d.Each(func(engine.Loop, engine.Handler) { t.Error("a loop goes on") })
	for _, c := range clients {
		_, err := io.Copy(io.Discard, c)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "still open")
		c.Close()
	}
	_, err = net.Dial("tcp", ln.Addr().String())
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.NoError(t, ln.Close())
	require.Equal(t, before, files(), "descriptors")
}

// Between finding bytes and reading them a receive is nowhere to be found. A cancellation that misses it
// then is tried again, or the connection would be read while paused, or never be over.
func TestCancelMisses(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	var last engine.Handle
	d, err := New(Config{Loops: 1}, func(engine.Loop) engine.Handler { return accepted{mute{}, &last} })
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	l := d.loops[0]
	// miss is what the kernel says when it cannot find c's operation.
	miss := func(c *conn, what uint64) {
		l.ops++
		c.ops++
		l.outcome(cqe{user: (forCancel+what)<<32 | uint64(c.id), res: -int32(unix.ENOENT)})
	}
	f := func(state string, prepare func(c *conn), done func(c *conn) bool) {
		t.Helper()
		client, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer client.Close()
		var c *conn
		until := func(what string, cond func() bool) {
			t.Helper()
			ok := false
			for end := time.Now().Add(10 * time.Second); !ok; time.Sleep(time.Millisecond) {
				d.Each(func(engine.Loop, engine.Handler) { ok = cond() })
				require.True(t, ok || time.Now().Before(end), "%s: %s", state, what)
			}
		}
		until("is being received", func() bool { c = l.table.Get(last); return c != nil && c.recvOn })
		d.Each(func(engine.Loop, engine.Handler) { prepare(c) })
		until("the receive has ended", func() bool { return done(c) })
		d.Each(func(engine.Loop, engine.Handler) { l.Reset(c.handle) })
		until("is over", func() bool { return c.id == released })
	}
	f("paused", func(c *conn) {
		l.Pause(c.handle)
		c.held.Push([]byte("held"))
		c.cancelled = true // so it was, in vain
		miss(c, forRecv)
	}, func(c *conn) bool { return !c.recvOn })
	f("over", func(c *conn) {
		c.cancelled = true
		l.Reset(c.handle)
		miss(c, forRecv)
	}, func(c *conn) bool { return c.id == released })
}
