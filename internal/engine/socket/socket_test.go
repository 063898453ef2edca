package socket

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, n int, b engine.Bind) *Group {
	t.Helper()
	g, err := Listen(b, n)
	require.NoError(t, err)
	t.Cleanup(func() { g.Close() })
	return g
}

// ready waits for poll events on fd.
func ready(t *testing.T, fd int, events int16) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 20_000)
		if err != unix.EINTR {
			require.NoError(t, err)
			require.Equal(t, 1, n, "nothing happens")
			return
		}
	}
}

// connect connects to addr as a driver does.
func connect(t *testing.T, addr string) (int, error) {
	t.Helper()
	a, err := Parse(addr)
	require.NoError(t, err)
	fd, err := New(a)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	open, err := Connect(fd, a)
	if err == nil && !open {
		ready(t, fd, unix.POLLOUT)
		err = Connected(fd, a)
	}
	return fd, err
}

// accept takes a connection from whichever socket of g gets it.
func accept(t *testing.T, g *Group) (fd int, from netip.AddrPort) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, ln := range g.FDs {
			if fd, from, errno := Accept(ln); errno == 0 {
				t.Cleanup(func() { unix.Close(fd) })
				return fd, from
			} else {
				require.Equal(t, unix.EAGAIN, errno)
			}
		}
	}
	t.Fatal("no connection")
	return
}

func TestParse(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		a, err := Parse(addr)
		if want == "" {
			require.ErrorContains(t, err, addr)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, a.Net().String())
		require.Equal(t, a.Net().Network() == "unix", a.IsUnix())
	}
	f("127.0.0.1:80", "127.0.0.1:80")
	f("[::1]:80", "[::1]:80")
	f("[::ffff:127.0.0.1]:80", "127.0.0.1:80")
	f("unix:/run/x", "/run/x")
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:http", "localhost:80", "127.0.0.1:99999", "unix:", ":80"} {
		f(bad, "")
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { Parse("127.0.0.1:80"); Parse("unix:/run/x") }))
}

func FuzzParse(f *testing.F) {
	for _, addr := range []string{"127.0.0.1:80", "[::1%lo]:80", "unix:@x", "unix:/run/x", ""} {
		f.Add(addr)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		a, err := Parse(addr)
		if err != nil {
			return
		}
		var s Sockaddr
		if a.Put(&s) == nil && !a.IsUnix() {
			require.Equal(t, netip.AddrPortFrom(a.IP.Addr().WithZone(""), a.IP.Port()), s.AddrPort())
		}
	})
}

// A connection in each family: bytes pass, both ends know the addresses, options are set on both.
func TestConnection(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0", "unix:" + t.TempDir() + "/socket"} {
		b := engine.Bind{Addr: addr}
		g, err := Listen(b, 2)
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue // no IPv6 here
		}
		require.NoError(t, err)
		isUnix := g.Addr().Network() == "unix"
		to := g.Addr().String()
		if isUnix {
			to = "unix:" + to
		}
		if _, port, _ := net.SplitHostPort(to); addr == "[::]:0" {
			to = "127.0.0.1:" + port // of an IPv6 socket, but named as IPv4
		}
		c, err := connect(t, to)
		require.NoError(t, err)
		s, from := accept(t, g)
		require.Equal(t, Local(c), from)
		require.Equal(t, Remote(c), Local(s))
		require.Equal(t, from, Remote(s))
		require.Equal(t, isUnix, !from.IsValid())
		require.Zero(t, OriginalDst(s), "nobody redirected it")
		if !isUnix {
			for _, fd := range []int{c, s} {
				for name, want := range map[string][3]int{
					"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
					"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
					"TCP_KEEPIDLE":  {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
					"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
					"TCP_KEEPCNT":   {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
				} {
					got, err := unix.GetsockoptInt(fd, want[0], want[1])
					require.NoError(t, err)
					require.Equal(t, want[2], got, name)
				}
			}
		}

		buf := make([]byte, 64)
		_, errno := Read(s, buf)
		require.Equal(t, unix.EAGAIN, errno)
		n, errno := Writev(c, [][]byte{[]byte("pack"), []byte("ets")})
		require.Zero(t, errno)
		require.Equal(t, 7, n)
		ready(t, s, unix.POLLIN)
		n, errno = Peek(s)
		require.Zero(t, errno)
		require.Equal(t, 1, n)
		n, errno = Read(s, buf)
		require.Zero(t, errno)
		require.Equal(t, "packets", string(buf[:n]))

		total := 0 // more than there is room for
		for {
			n, errno := Write(s, make([]byte, 3<<20))
			require.Zero(t, errno)
			if total += n; n == 0 {
				break
			}
		}
		require.Positive(t, total)
		CloseWrite(c)
		ready(t, s, unix.POLLIN)
		n, errno = Read(s, buf)
		require.Zero(t, errno)
		require.Zero(t, n)
		Reset(s)
		if !isUnix {
			ready(t, c, unix.POLLERR)
			require.Equal(t, unix.ECONNRESET, Err(c))
		}
		require.NoError(t, g.Close())
	}
}

func TestConnectErrors(t *testing.T) {
	g := listen(t, 1, engine.Bind{Addr: "127.0.0.1:0"})
	addr := g.Addr().String()
	g.Close()
	_, err := connect(t, addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = connect(t, "unix:"+t.TempDir()+"/nobody")
	require.ErrorIs(t, err, fs.ErrNotExist)

	// A socket that connects to its own address.
	a, err := Parse(addr)
	require.NoError(t, err)
	fd, err := New(a)
	require.NoError(t, err)
	defer Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Port: int(a.IP.Port()), Addr: a.IP.Addr().As4()}))
	if open, err := Connect(fd, a); err == nil {
		if !open {
			ready(t, fd, unix.POLLOUT)
		}
		require.ErrorIs(t, Connected(fd, a), syscall.ECONNREFUSED)
	}

	a, err = Parse("unix:/" + string(make([]byte, 200)))
	require.NoError(t, err)
	_, err = Connect(-1, a)
	require.Error(t, err)
}

func TestOpError(t *testing.T) {
	a, err := Parse("127.0.0.1:80")
	require.NoError(t, err)
	err = OpError("read", netip.MustParseAddrPort("127.0.0.1:9"), a, unix.ECONNRESET)
	require.EqualError(t, err, "read tcp 127.0.0.1:9->127.0.0.1:80: read: connection reset by peer")
	require.ErrorIs(t, err, syscall.ECONNRESET)
	err = OpError("dial", netip.AddrPort{}, Addr{Path: "/x"}, os.NewSyscallError("connect", unix.ENOENT))
	require.EqualError(t, err, "dial unix /x: connect: no such file or directory")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Every socket of a group gets connections; a stranger gets none, because the address is taken.
func TestGroup(t *testing.T) {
	g := listen(t, 3, engine.Bind{Addr: "127.0.0.1:0"})
	require.Len(t, g.FDs, 3)
	_, err := Listen(engine.Bind{Addr: g.Addr().String()}, 3)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	_, err = net.Listen("tcp", g.Addr().String())
	require.ErrorIs(t, err, unix.EADDRINUSE)
	got := map[int]int{}
	for range 200 {
		_, err := connect(t, g.Addr().String())
		require.NoError(t, err)
	}
	for _, ln := range g.FDs {
		for {
			fd, _, errno := Accept(ln)
			if errno != 0 {
				break
			}
			Close(fd)
			got[ln]++
		}
	}
	require.Len(t, got, 3)
	require.Equal(t, 200, got[g.FDs[0]]+got[g.FDs[1]]+got[g.FDs[2]])
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	again, err := Listen(engine.Bind{Addr: g.Addr().String()}, 1)
	require.NoError(t, err, "the port is free again")
	require.NoError(t, again.Close())
}

// What waits in the backlog is served by whoever took the sockets over, with as many loops as it has.
func TestHandOver(t *testing.T) {
	path := t.TempDir() + "/socket"
	for _, addr := range []string{"127.0.0.1:0", "unix:" + path} {
		for _, n := range []int{1, 2, 4} {
			old := listen(t, 2, engine.Bind{Addr: addr})
			at := old.Addr().String()
			if old.Addr().Network() == "unix" {
				at = addr
			}
			c, err := connect(t, at)
			require.NoError(t, err)
			files, err := old.Sockets()
			require.NoError(t, err)
			taken := listen(t, n, engine.Bind{Addr: at, Sockets: files})
			for _, f := range files {
				f.Fd() // makes the socket blocking in some versions of Go: ours must stay as it is
				f.Close()
			}
			require.Equal(t, old.Addr(), taken.Addr())
			require.NoError(t, old.Close())
			if old.Addr().Network() == "tcp" {
				require.Len(t, taken.FDs, max(n, 2))
			}
			s, _ := accept(t, taken)
			Write(s, []byte("x"))
			ready(t, c, unix.POLLIN)
			_, err = connect(t, at)
			require.NoError(t, err, "it goes on")
			for range 8 { // blocking would hang
				accept(t, taken)
				if _, _, errno := Accept(taken.FDs[0]); errno == unix.EAGAIN {
					break
				}
			}
			require.NoError(t, taken.Close())
			if old.Addr().Network() == "unix" {
				require.NoError(t, os.Remove(path), "not theirs to remove, once it was handed over")
			}
		}
	}
}

func TestAdoptErrors(t *testing.T) {
	g := listen(t, 1, engine.Bind{Addr: "127.0.0.1:0"})
	files, err := g.Sockets()
	require.NoError(t, err)
	defer files[0].Close()
	f := func(b engine.Bind, want string) {
		t.Helper()
		_, err := Listen(b, 1)
		require.ErrorContains(t, err, want)
	}
	f(engine.Bind{Addr: "127.0.0.1:1", Sockets: files}, g.Addr().String())
	f(engine.Bind{Addr: "unix:/run/x", Sockets: files}, g.Addr().String())
	plain, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer plain.Close()
	f(engine.Bind{Addr: "127.0.0.1:1", Sockets: []*os.File{plain}}, "not a listening socket")
	f(engine.Bind{Addr: "somewhere"}, "somewhere")

	// Whatever goes wrong, no descriptor stays open.
	fd, err := unix.Dup(0)
	require.NoError(t, err)
	defer Close(fd)
	for range 3 {
		f(engine.Bind{Addr: g.Addr().String()}, "in use")
		f(engine.Bind{Addr: "127.0.0.1:1", Sockets: files}, "the socket is that of")
		f(engine.Bind{Addr: "unix:" + t.TempDir() + "/no/folder"}, "no such file")
	}
	next, err := unix.Dup(0)
	require.NoError(t, err)
	defer Close(next)
	require.Equal(t, fd+1, next)
}

// A file that somebody put in the way is not ours to remove.
func TestUnixInTheWay(t *testing.T) {
	path := t.TempDir() + "/socket"
	left, err := net.Listen("unix", path)
	require.NoError(t, err)
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_, err = Listen(engine.Bind{Addr: "unix:" + path}, 1)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	left.Close()
	g := listen(t, 1, engine.Bind{Addr: "unix:" + path})
	require.NoError(t, g.Close())
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = Listen(engine.Bind{Addr: "unix:" + path}, 1)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.FileExists(t, path)
}
