package conformance

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// accept: every connection is reported with its listener's tag and both addresses, also when the listener
// was opened before Run.
func (s *suite) accept(t *testing.T) {
	r := s.logged(t)
	for tag := range 3 {
		addr := r.listen(tag)
		for range 5 {
			c := dial(t, addr)
			e := r.next("accept")
			require.Equal(t, tag, e.tag)
			require.Equal(t, c.LocalAddr().String(), e.from.String())
			require.Equal(t, addr, e.to.String())
		}
	}

	ln, err := r.driver.Listen(engine.Bind{Addr: "[::]:0", Tag: 9}) // IPv4 peers of such a listener are named as IPv4
	if err == nil {
		dial(t, net.JoinHostPort("127.0.0.1", portOf(ln.Addr())))
		require.Equal(t, netip.MustParseAddr("127.0.0.1"), r.next("accept").from.Addr())
	}

	early := s.prepare(t, func(m *machine) hooks {
		return hooks{accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) {
			m.Send(h, []byte("hello"))
			m.Close(h)
		}}
	})
	c := dial(t, early.listen(0))
	early.run()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// listenerClose: no new connections; open ones do not notice.
func (s *suite) listenerClose(t *testing.T) {
	r := s.logged(t)
	ln, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	c, at := r.connect(ln.Addr().String())
	require.NoError(t, ln.Close())
	ln.Close() // harmless
	late, err := net.Dial("tcp", ln.Addr().String())
	if err == nil {
		late.Close()
		t.Error("a closed listener took a connection")
	}
	c.Write([]byte("ping"))
	require.Equal(t, "ping", r.nextData(4))
	at.do(func(m *machine, h engine.Handle) { m.Send(h, []byte("pong")); m.Close(h) })
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "pong", string(b))

	again, err := r.driver.Listen(engine.Bind{Addr: ln.Addr().String()}) // the port is free again
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// listenerCloseServes: who waits in a backlog when the listener closes has a connection, and is served. The
// loops are kept busy meanwhile, so that somebody waits.
func (s *suite) listenerCloseServes(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "socket")} {
		r := s.logged(t)
		ln, err := r.driver.Listen(engine.Bind{Addr: addr, Tag: 3})
		require.NoError(t, err)
		busy := make(chan struct{})
		for i := range r.driver.Loops() {
			r.driver.Post(i, func(engine.Loop, engine.Handler) { <-busy })
		}
		for range 40 {
			c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			require.NoError(t, err)
			defer c.Close()
		}
		closed := make(chan error)
		go func() { closed <- ln.Close() }()
		time.Sleep(50 * time.Millisecond) // Close may wait for the loops
		close(busy)
		require.NoError(t, <-closed)
		for range 40 {
			require.Equal(t, 3, r.next("accept").tag)
		}
	}
}

// listenErrors: addresses that cannot be had.
func (s *suite) listenErrors(t *testing.T) {
	r := s.logged(t)
	taken := r.listen(0)
	for _, addr := range []string{taken, "127.0.0.1", "127.0.0.1:nonsense", "unix:" + t.TempDir() + "/no/such/folder"} {
		_, err := r.driver.Listen(engine.Bind{Addr: addr})
		require.Error(t, err, addr)
	}
	r.connect(taken) // undisturbed
	r.stop(nil)
	_, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.Error(t, err, "after Run")
}

// listenUnix: a socket left behind is replaced; one in use, or anything else of that name, is not.
func (s *suite) listenUnix(t *testing.T) {
	r := s.logged(t)
	path := t.TempDir() + "/socket"
	left, err := net.Listen("unix", path)
	require.NoError(t, err)
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()

	ln, err := r.driver.Listen(engine.Bind{Addr: "unix:" + path})
	require.NoError(t, err, "nobody listens there")
	require.Equal(t, path, ln.Addr().String())
	_, err = r.driver.Listen(engine.Bind{Addr: "unix:" + path})
	require.Error(t, err, "somebody listens there")
	if c := dial(t, "unix:"+path); c != nil { // the one before may have been probed: look for ours
		c.Write([]byte("mine"))
		eventually(t, "the first listener still serves", func() bool { return (<-r.events).data == "mine" })
	}

	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = r.driver.Listen(engine.Bind{Addr: "unix:" + file})
	require.Error(t, err, "a file is there")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}

// noDescriptorsLeft: connections that come while there are no descriptors are served when there are some
// again, and those that are open do not notice.
func (s *suite) noDescriptorsLeft(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	first, at := r.connect(addr)
	late := make([]*sleeper, 5)
	for i := range late {
		late[i] = newSleeper(t, addr)
	}
	restore := noDescriptors(t)
	for _, c := range late {
		c.connect()
	}
	r.silence(100 * time.Millisecond)
	first.Write([]byte("ping"))
	require.Equal(t, "ping", r.nextData(4))
	at.do(func(m *machine, h engine.Handle) { m.Send(h, []byte("pong")) })
	_, err := io.ReadFull(first, make([]byte, 4))
	require.NoError(t, err)

	restore()
	for range late {
		at := r.next("accept").at
		at.do(func(m *machine, h engine.Handle) { m.Send(h, []byte("welcome")); m.Close(h) })
	}
	for _, c := range late {
		require.Equal(t, "welcome", c.read())
	}
}

// noDescriptors makes every attempt to open something end in EMFILE, until the function it returns is called.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0 // what is open stays open
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	restore = sync.OnceFunc(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	t.Cleanup(restore)
	return restore
}

// A sleeper is a client that has its descriptor already, and can connect when there are no more.
type sleeper struct {
	t  *testing.T
	fd int
	to unix.SockaddrInet4
}

func newSleeper(t *testing.T, addr string) *sleeper {
	to := netip.MustParseAddrPort(addr)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	wait := unix.NsecToTimeval(patience.Nanoseconds())
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait))
	return &sleeper{t, fd, unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}}
}

func (c *sleeper) connect() { require.NoError(c.t, unix.Connect(c.fd, &c.to)) }

func (c *sleeper) read() string {
	b := make([]byte, 64)
	n, err := unix.Read(c.fd, b)
	require.NoError(c.t, err)
	return string(b[:n])
}
