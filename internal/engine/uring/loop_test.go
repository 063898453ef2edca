package uring

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

type mute struct{}

func (mute) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {}
func (mute) OnDial(engine.Handle)                                        {}
func (mute) OnData(engine.Handle, []byte)                                {}
func (mute) OnEOF(engine.Handle)                                         {}
func (mute) OnWritable(engine.Handle)                                    {}
func (mute) OnClosed(engine.Handle, error)                               {}
func (mute) OnTimer(engine.Handle)                                       {}

// A loop on which nothing happens makes no system calls, whatever state its connections are in, and has
// given up every operation of those that are over.
func TestIdleLoopSleeps(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skip(err)
	}
	var last engine.Handle
	d, err := New(Config{Loops: 1}, func(engine.Loop) engine.Handler { return accepted{mute{}, &last} })
	require.NoError(t, err)
	tcp, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	path := t.TempDir() + "/socket"
	_, err = d.Listen(engine.Bind{Addr: "unix:" + path})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	l := d.loops[0]
	do := func(f func()) {
		d.Each(func(engine.Loop, engine.Handler) { f() })
	}
	connect := func() (net.Conn, engine.Handle) {
		before := d.Stats().Accepted
		c, err := net.Dial("tcp", tcp.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		for d.Stats().Accepted == before {
			time.Sleep(time.Millisecond)
		}
		var h engine.Handle
		do(func() { h = last })
		return c, h
	}
	ops := func() (n int) {
		do(func() { n = l.ops })
		return n
	}
	const idle = 3 // the inbox and two listeners
	for ops() != idle {
		time.Sleep(time.Millisecond)
	}
	f := func(state string, prepare func(c net.Conn, h engine.Handle)) {
		t.Helper()
		c, h := connect()
		prepare(c, h)
		time.Sleep(20 * time.Millisecond)
		var from, to uint64
		do(func() { from = l.ring.enters })
		time.Sleep(50 * time.Millisecond)
		do(func() { to = l.ring.enters })
		require.LessOrEqual(t, to-from, uint64(4), "system calls of an idle loop: %s", state)
		do(func() { l.Reset(h) })
		for end := time.Now().Add(10 * time.Second); ops() != idle; time.Sleep(time.Millisecond) {
			require.True(t, time.Now().Before(end), "%s: %d operations left", state, l.ops-idle)
		}
	}
	f("open", func(net.Conn, engine.Handle) {})
	f("paused, with bytes", func(c net.Conn, h engine.Handle) {
		do(func() { l.Pause(h) })
		io.WriteString(c, "held")
	})
	f("after FIN", func(c net.Conn, _ engine.Handle) { c.(*net.TCPConn).CloseWrite() })
	f("after FIN from both", func(c net.Conn, h engine.Handle) {
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(10 * time.Millisecond)
		do(func() { l.CloseWrite(h) })
	})
	f("paused, with FIN from both", func(c net.Conn, h engine.Handle) {
		do(func() { l.Pause(h); l.CloseWrite(h) })
		c.(*net.TCPConn).CloseWrite()
	})
	f("over, with bytes queued", func(c net.Conn, h engine.Handle) {
		do(func() { l.Send(h, make([]byte, 14<<20)); l.Close(h) })
		c.Close()
	})
	f("dialled, and a unix socket whose peer is gone", func(net.Conn, engine.Handle) {
		var h engine.Handle
		do(func() { h = l.Dial("unix:"+path, time.Second) })
		time.Sleep(10 * time.Millisecond)
		do(func() { l.Reset(last) })
		time.Sleep(10 * time.Millisecond)
		do(func() { l.Reset(h) })
	})
	do(func() {
		for _, c := range l.conns {
			require.Nil(t, c)
		}
	})
}

// accepted remembers the last connection.
type accepted struct {
	mute
	last *engine.Handle
}

func (a accepted) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) { *a.last = h }
