package conformance

import (
	"context"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// handOver: what waits and what comes is taken by the driver that has the sockets now; what the first has
// stays with it.
func (s *suite) handOver(t *testing.T) {
	t.Run("tcp", func(t *testing.T) { s.handOverAt(t, "127.0.0.1:0") })
	t.Run("unix", func(t *testing.T) { s.handOverAt(t, "unix:"+t.TempDir()+"/socket") })
}

func (s *suite) handOverAt(t *testing.T, addr string) {
	old, heir := s.logged(t), s.loggedSoon(t)
	ln, err := old.driver.Listen(engine.Bind{Addr: addr})
	require.NoError(t, err)
	at := ln.Addr().String()
	if ln.Addr().Network() == "unix" {
		at = "unix:" + at
	}
	c, here := old.connect(at)

	sockets, err := ln.Sockets()
	require.NoError(t, err)
	next, err := heir.driver.Listen(engine.Bind{Addr: at, Tag: 7, Sockets: sockets})
	require.NoError(t, err)
	require.Equal(t, ln.Addr().String(), next.Addr().String())
	for _, f := range sockets {
		require.NoError(t, f.Close(), "the caller's to close")
	}
	old.connect(at) // the only one that accepts, and undisturbed

	require.NoError(t, ln.Close())
	for range 5 { // they wait: the first does not accept any more, the second not yet
		dial(t, at)
	}
	old.silence(50 * time.Millisecond)
	heir.run()
	for range 5 {
		require.Equal(t, 7, heir.next("accept").tag)
	}
	heir.connect(at)
	c.Write([]byte("ping"))
	require.Equal(t, "ping", old.nextData(4))
	here.do(func(m *machine, h engine.Handle) { m.Close(h) })
	old.stop(nil)
	heir.connect(at)
	require.NoError(t, next.Close())
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		require.FileExists(t, path, "neither knows whether it is the last")
	}
}

// group: sockets that share an address are all accepted from. The kernel spreads connections over them and
// does not ask whether anybody takes them.
func (s *suite) group(t *testing.T) {
	r := s.logged(t)
	share := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	addr := "127.0.0.1:0"
	var sockets []*os.File
	for range 5 { // more than the driver has loops
		ln, err := share.Listen(context.Background(), "tcp", addr)
		require.NoError(t, err)
		addr = ln.Addr().String()
		f, err := ln.(*net.TCPListener).File()
		require.NoError(t, err)
		sockets = append(sockets, f)
		ln.Close()
	}
	ln, err := r.driver.Listen(engine.Bind{Addr: addr, Sockets: sockets})
	require.NoError(t, err)
	for _, f := range sockets {
		f.Close()
	}
	for range 64 {
		r.connect(addr)
	}
	handed, err := ln.Sockets()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(handed), 5, "one that is left out strands what the kernel gives it")
	for _, f := range handed {
		f.Close()
	}
}

// closeTells: what a listener took is told before Close returns, or before what is posted from then on. A
// drain that counts its clients relies on it.
func (s *suite) closeTells(t *testing.T) {
	r := s.logged(t)
	ln, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	release := make(chan struct{})
	for i := range r.driver.Loops() {
		r.driver.Post(i, func(engine.Loop, engine.Handler) { <-release })
	}
	for range 16 {
		dial(t, ln.Addr().String())
	}
	time.Sleep(20 * time.Millisecond) // a driver that accepts outside of its loops has them now
	told := make([]bool, r.driver.Loops())
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		ln.Close()
		r.driver.Each(func(_ engine.Loop, h engine.Handler) {
			r.events <- event{kind: "closed", at: ref{m: h.(*machine)}}
		})
	}()
	time.Sleep(20 * time.Millisecond) // Close may wait for the loops, and may not
	close(release)
	wait(t, closed, "Close")
	time.Sleep(20 * time.Millisecond)
	for len(r.events) > 0 {
		switch e := <-r.events; e.kind {
		case "closed":
			told[e.at.m.index] = true
		case "accept":
			require.False(t, told[e.at.m.index], "a connection came up after its listener was closed")
		}
	}
}
