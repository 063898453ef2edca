package handover_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/handover"
)

// An owner has sockets, and notes what becomes of them.
type owner struct {
	sockets map[string][]*net.TCPListener
	asked   chan struct{}
	kept    chan struct{}
	handed  chan []string
}

func newOwner(t *testing.T, names map[string]int) *owner {
	o := &owner{make(map[string][]*net.TCPListener), make(chan struct{}, 99), make(chan struct{}, 99), make(chan []string, 1)}
	for name, n := range names {
		for range n {
			o.sockets[name] = append(o.sockets[name], listen(t))
		}
	}
	return o
}

func listen(t *testing.T) *net.TCPListener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func (o *owner) Sockets() (handover.Sockets, error) {
	o.asked <- struct{}{}
	all := make(handover.Sockets)
	for name, lns := range o.sockets {
		for _, ln := range lns {
			f, err := ln.File()
			if err != nil {
				return nil, err
			}
			all[name] = append(all[name], f)
		}
	}
	return all, nil
}

func (o *owner) Keep()                   { o.kept <- struct{}{} }
func (o *owner) HandOver(names []string) { o.handed <- names }

// open runs a door for o until the test ends or somebody takes over.
func open(t *testing.T, o handover.Owner, path string, taken *handover.Taking) (done chan error, stop func()) {
	t.Helper()
	return openWith(t, handover.Config{Path: path, Taken: taken, Owner: o, Clock: clock.System})
}

func openWith(t *testing.T, cfg handover.Config) (done chan error, stop func()) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	door, err := handover.Open(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan error, 1)
	go func() { done <- door.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return done, stop
}

func doorPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "door") // short: the kernel takes 108 bytes
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "d")
}

func take(t *testing.T, path string) *handover.Taking {
	t.Helper()
	taking, err := handover.Take(t.Context(), path, clock.System)
	require.NoError(t, err)
	require.NotNil(t, taking)
	t.Cleanup(func() { taking.Close() })
	return taking
}

// accepts requires that the socket is the one that listens at addr.
func accepts(t *testing.T, f *os.File, addr net.Addr) {
	t.Helper()
	ln, err := net.FileListener(f)
	require.NoError(t, err)
	defer ln.Close()
	require.Equal(t, addr, ln.Addr())
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	defer c.Close()
	got, err := ln.Accept()
	require.NoError(t, err)
	require.Equal(t, c.LocalAddr(), got.RemoteAddr())
	got.Close()
}

// Every socket arrives under its name, in chains of any length, and through a door that is never shut.
func TestSocketsChangeHands(t *testing.T) {
	o := newOwner(t, map[string]int{"127.0.0.1:80": 1, "s caller 127.0.0.1:0": 3, "unix:/with blanks": 150})
	path := doorPath(t)
	done, _ := open(t, o, path, nil)
	before, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs0600, before.Mode())
	for range 3 {
		taking := take(t, path)
		require.Len(t, taking.Sockets, 3)
		for name, lns := range o.sockets {
			require.Len(t, taking.Sockets[name], len(lns))
			for i, ln := range lns {
				accepts(t, taking.Sockets[name][i], ln.Addr())
			}
		}
		want := []string{"unix:/with blanks", "127.0.0.1:80"}
		require.NoError(t, taking.Serving(want))
		require.Equal(t, want, <-o.handed)
		require.NoError(t, <-done)
		done <- nil // for stop
		after, err := os.Lstat(path)
		require.NoError(t, err, "the door is still there")
		require.True(t, os.SameFile(before, after))
		done, _ = open(t, o, path, taking)
		taking.Close()
	}
	require.Empty(t, o.kept)
}

const fs0600 = os.ModeSocket | 0o600

// Nobody there means to start cold, and the last one takes the file along.
func TestNobodyAnswers(t *testing.T) {
	path := doorPath(t)
	taking, err := handover.Take(t.Context(), path, clock.System)
	require.NoError(t, err)
	require.Nil(t, taking)

	left, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	left.Close()
	taking, err = handover.Take(t.Context(), path, clock.System)
	require.NoError(t, err)
	require.Nil(t, taking, "left behind by a process that was killed")

	_, stop := open(t, newOwner(t, nil), path, nil)
	_, err = handover.Open(handover.Config{Path: path})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	stop()
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = handover.Take(t.Context(), path, clock.System)
	require.EqualError(t, err, "take over at "+path+": there is something else")
	_, err = handover.Open(handover.Config{Path: path})
	require.Error(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}

// Whoever dies, is silent, or talks nonsense is answered with a line at most, and the next one is served.
func TestBadPeers(t *testing.T) {
	o := newOwner(t, map[string]int{"a": 1})
	path := doorPath(t)
	hasty := &early{clock.System, 4950 * time.Millisecond} // waits 50ms for a hello
	done, _ := openWith(t, handover.Config{Path: path, Owner: o, Clock: hasty})
	f := func(want string, say ...string) {
		t.Helper()
		c, err := net.Dial("unixpacket", path)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		for _, packet := range say {
			if _, err := io.WriteString(c, packet); err != nil {
				break // it has heard enough
			}
		}
		b := make([]byte, 1<<16)
		for {
			n, err := c.Read(b)
			if errors.Is(err, syscall.ECONNRESET) {
				continue // it left something unread; its last word follows
			}
			require.NoError(t, err)
			if word := string(b[:n]); word != "socket a" && word != "door" {
				require.Equal(t, want, word)
				break
			}
		}
		n, err := c.Read(b)
		require.Zero(t, n)
		require.ErrorIs(t, err, io.EOF)
	}
	f("no the other process says nothing")
	f(`no this process knows "redlane takeover 1", not "GET / HTTP/1.1\r\n\r\n"`, "GET / HTTP/1.1\r\n\r\n")
	f(`no this process knows "redlane takeover 1", not "redlane takeover 2"`, "redlane takeover 2")
	f(`no this process knows "redlane takeover 1", not "\x00"`, "\x00")
	f("no a packet that is too long", string(make([]byte, 50<<10)))
	require.Empty(t, o.asked)
	f(`no "nonsense" is no word of this protocol here`, "redlane takeover 1", "nonsense")
	f(`no "took b" is no word of this protocol here`, "redlane takeover 1", "took a", "took b")
	f(`no "took a" is no word of this protocol here`, "redlane takeover 1", "took a", "took a")
	require.Len(t, o.kept, 3)
	taking := take(t, path)
	taking.Close() // as a process that dies
	again := take(t, path)
	require.Len(t, o.kept, 4)
	accepts(t, again.Sockets["a"][0], o.sockets["a"][0].Addr())
	require.NoError(t, again.Serving([]string{"a"}))
	require.NoError(t, <-done)
	done <- nil
	require.Len(t, o.kept, 4)
}

// early is a clock that is behind, so that deadlines come sooner.
type early struct {
	clock.Clock
	by time.Duration
}

func (c *early) Now() time.Time { return c.Clock.Now().Add(-c.by) }

// The new process takes no for an answer, and believes nothing that is no listening socket.
func TestBadDoors(t *testing.T) {
	f := func(want string, answer func(c *net.UnixConn)) {
		t.Helper()
		path := doorPath(t)
		ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
		require.NoError(t, err)
		defer ln.Close()
		go func() {
			c, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			defer c.Close()
			c.Read(make([]byte, 100))
			answer(c)
		}()
		_, err = handover.Take(t.Context(), path, clock.System)
		require.EqualError(t, err, "take over at "+path+": "+want)
	}
	say := func(s string) func(*net.UnixConn) { return func(c *net.UnixConn) { io.WriteString(c, s) } }
	f("the running process says no: it is shutting down", say("no it is shutting down"))
	f("the other process ended the conversation", func(*net.UnixConn) {})
	f(`"socket" with 0 sockets is no word of this protocol`, say("socket a"))
	f(`"door" with 0 sockets is no word of this protocol`, say("door"))
	f(`"HTTP/1.1" with 0 sockets is no word of this protocol`, say("HTTP/1.1 200 OK"))
	f("not a listening socket", func(c *net.UnixConn) {
		c.WriteMsgUnix([]byte("socket a"), unix.UnixRights(2), nil)
	})
}

// When the running process dies before it has answered, the new one goes on; when it has changed its mind, not.
func TestLastWord(t *testing.T) {
	o := newOwner(t, map[string]int{"a": 1})
	path := doorPath(t)
	_, stop := open(t, o, path, nil)
	taking := take(t, path)
	stop()
	require.NoError(t, taking.Serving([]string{"a"}))
	_, err := os.Lstat(path)
	require.NoError(t, err, "the door is the new one's")
	done, _ := openWith(t, handover.Config{Path: path, Taken: taking, Owner: o, Clock: clock.System, Build: 50 * time.Millisecond})
	second := take(t, path)
	<-o.kept
	require.EqualError(t, second.Serving([]string{"a"}), "take over at "+path+": the running process says no: the other process says nothing")
	require.Empty(t, done)
	require.Empty(t, o.handed)
}

// Other users are not let in, whatever the file's mode, and are not believed.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to be somebody else")
	}
	o := newOwner(t, map[string]int{"a": 1})
	path := doorPath(t)
	open(t, o, path, nil)
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	dial := func() error {
		result := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
				result <- errno
				return
			}
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				result <- err
				return
			}
			defer unix.Close(fd)
			if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				result <- err
				return
			}
			b := make([]byte, 200)
			n, _ := unix.Read(fd, b)
			result <- errors.New(string(b[:n]))
		}()
		return <-result
	}
	require.ErrorIs(t, dial(), syscall.EACCES)
	require.NoError(t, os.Chmod(path, 0o666))
	require.EqualError(t, dial(), "no it runs as user 65534, this process as user 0")
	require.Empty(t, o.asked)
}

// A socket that refuses takes nobody new in and loses nobody who waits; then it can be closed, or go on.
func TestRefuse(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		var config net.ListenConfig
		config.SetMultipathTCP(false) // Go's default, which takes no filter
		ln, err := config.Listen(t.Context(), "tcp", addr)
		require.NoError(t, err)
		f, err := ln.(*net.TCPListener).File()
		require.NoError(t, err)
		defer f.Close()
		require.False(t, handover.Waiting(f))
		waits, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		require.True(t, handover.Waiting(f))

		require.NoError(t, handover.Refuse(f))
		_, err = net.DialTimeout("tcp", ln.Addr().String(), 50*time.Millisecond)
		var late net.Error
		require.True(t, errors.As(err, &late) && late.Timeout(), err)
		c, err := ln.Accept()
		require.NoError(t, err)
		require.False(t, handover.Waiting(f))
		io.WriteString(waits, "still here")
		b := make([]byte, 10)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "still here", string(b))
		c.Close()

		require.NoError(t, handover.Admit(f))
		again, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		again.Close()
		ln.Close()
	}

	path := doorPath(t)
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer ln.Close()
	f, err := ln.(*net.UnixListener).File()
	require.NoError(t, err)
	defer f.Close()
	waits, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer waits.Close()
	require.NoError(t, handover.Refuse(f))
	_, err = net.Dial("unix", path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.True(t, handover.Waiting(f))
	require.Error(t, handover.Admit(f))
}
