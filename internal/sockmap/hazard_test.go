package sockmap

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
)

func control(t *testing.T, c *net.TCPConn, f func(fd int)) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { f(int(fd)) }))
}

// fill writes without waiting until there is no room, and returns what was taken.
func fill(t *testing.T, c *net.TCPConn, message int) (all []byte) {
	t.Helper()
	control(t, c, func(fd int) {
		for full := 0; full < 3 && len(all) < 64<<20; {
			b := random(uint64(len(all)), message)
			n, err := unix.Write(fd, b)
			if n > 0 {
				all, full = append(all, b[:n]...), 0
				continue
			}
			if err != unix.EAGAIN && !socket.Held(err) {
				t.Errorf("write: %v", err)
				return
			}
			full++
			time.Sleep(20 * time.Millisecond) // TCP may still move bytes from one end to the other
		}
	})
	return all
}

// A reader that does not read stops its writer, in messages of any size, and loses nothing by it.
func TestSlowReader(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		for _, message := range []int{1, 1000, 64 << 10, 1 << 20} {
			for _, toPeer := range []bool{true, false} {
				proxy, peer := local(t, a, s)
				w, r := proxy, peer
				if !toPeer {
					w, r = peer, proxy
				}
				if message == 1 && !toPeer {
					continue // TCP takes millions of them, like without us
				}
				sent := fill(t, w, message)
				charged, readable, err := waiting(r)
				require.NoError(t, err)
				t.Logf("%s, to peer %v, messages of %d: %d bytes taken, %d charged, %d readable", s, toPeer, message, len(sent), charged, readable)
				if toPeer {
					require.Less(t, charged, Window+600<<10)
					require.Equal(t, len(sent), readable, "nothing may be anywhere else")
					if message == 1 {
						require.Equal(t, maxWaiting, len(sent))
					}
				}
				require.NoError(t, w.CloseWrite())
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, len(sent), len(got))
				require.Equal(t, sum(sent), sum(got))
			}
		}
	}
}

// A peer may wait for edges, take a short read for the last, and go by FIONREAD, as nginx does: it must see
// all bytes all the same. That holds because what the proxy writes never is in two queues.
func TestPeerThatTrustsShortReads(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		t.Run(string(s), func(t *testing.T) {
			proxy, peer := local(t, a, s)
			const size = 32 << 20
			data := random(3, size)
			done := make(chan error, 1)
			go func() {
				_, err := send(proxy, data)
				done <- errors.Join(err, proxy.CloseWrite())
			}()
			var got []byte
			control(t, peer, func(fd int) { got = readLikeNginx(t, fd) })
			require.Equal(t, size, len(got))
			require.Equal(t, sum(data), sum(got))
			require.NoError(t, <-done)
		})
	}
}

func readLikeNginx(t *testing.T, fd int) (all []byte) {
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(poller)
	require.NoError(t, unix.EpollCtl(poller, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET}))
	b := make([]byte, 4096)
	for {
		var ev [1]unix.EpollEvent
		n, err := unix.EpollWait(poller, ev[:], 5000)
		if err == unix.EINTR {
			continue
		}
		if n == 0 || err != nil {
			t.Errorf("no edge for 5 s after %d bytes (%v)", len(all), err)
			return all
		}
		for available := -1; available != 0 || ev[0].Events&unix.EPOLLRDHUP != 0; {
			n, err := unix.Read(fd, b)
			if n == 0 && err == nil {
				return all
			}
			if err != nil {
				break
			}
			all = append(all, b[:n]...)
			if n < len(b) {
				available = 0
				continue
			}
			if available, err = unix.IoctlGetInt(fd, unix.TIOCINQ); err != nil {
				t.Error(err)
				return all
			}
		}
	}
}

// Bytes that were redirected before a reset are still there to be read, and the reset after them.
func TestReset(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		proxy, peer := local(t, a, s)
		_, err := peer.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, peer.SetLinger(0))
		require.NoError(t, peer.Close())
		time.Sleep(10 * time.Millisecond)
		b := make([]byte, 100)
		n, err := proxy.Read(b)
		require.NoError(t, err)
		require.Equal(t, "last words", string(b[:n]))
		_, err = proxy.Read(b)
		require.ErrorIs(t, err, unix.ECONNRESET)
	}
}

func TestPeek(t *testing.T) {
	a := start(t, Config{})
	_, peer := local(t, a, proxyListens)
	proxy, peer2 := local(t, a, proxyListens)
	_, err := proxy.Write([]byte("abcdef"))
	require.NoError(t, err)
	control(t, peer2, func(fd int) {
		b := make([]byte, 4)
		for range 3 {
			n, _, err := unix.Recvfrom(fd, b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			require.NoError(t, err)
			require.Equal(t, "abcd", string(b[:n]))
		}
	})
	got := make([]byte, 6)
	_, err = io.ReadFull(peer2, got)
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(got))
	control(t, peer, func(fd int) {
		_, _, err := unix.Recvfrom(fd, got, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		require.ErrorIs(t, err, unix.EAGAIN)
	})
}

// Close takes nothing from open connections: what waits is read, what comes is redirected as before.
func TestCloseWhileTrafficFlows(t *testing.T) {
	a, err := Start(Config{})
	if err != nil {
		start(t, Config{}) // says why not
	}
	closed := false
	defer func() {
		if !closed {
			a.Close()
		}
	}()
	proxy, peer := local(t, a, proxyDials)
	data := random(4, 16<<20)
	sent := make(chan error, 1)
	go func() {
		_, err := send(proxy, data)
		sent <- errors.Join(err, proxy.CloseWrite())
	}()
	got := make([]byte, 0, len(data))
	b := make([]byte, 32<<10)
	for {
		n, err := peer.Read(b)
		got = append(got, b[:n]...)
		if !closed && len(got) > len(data)/2 {
			closed = true
			require.NoError(t, a.Close())
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.NoError(t, <-sent)
	require.Equal(t, sum(data), sum(got))
}

// The kernel cannot splice out of the queue of redirected bytes. This test is here to go red when it can:
// then Join may be used, and docs/sockmap.md has a restriction less.
func TestSpliceSeesNothing(t *testing.T) {
	a := start(t, Config{})
	proxy, peer := local(t, a, proxyListens)
	_, err := proxy.Write([]byte("hello"))
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	control(t, peer, func(fd int) {
		n, err := unix.Splice(fd, nil, int(w.Fd()), nil, 4096, unix.SPLICE_F_NONBLOCK)
		t.Logf("splice: %d, %v", n, err)
		require.ErrorIs(t, err, unix.EAGAIN)
	})
}

// One end writes before the other is there (here the listener waits for bytes before it completes the
// handshake): the connection is TCP's from then on, and its other end a socket like any other.
func TestWrittenBeforeConnected(t *testing.T) {
	a := start(t, Config{})
	for _, s := range sides {
		ln, at := listen(t, a, s, "tcp", "127.0.0.1:0")
		raw, err := ln.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5))
		}))
		before := counted(t, a)
		dialled, err := net.Dial("tcp", at.String())
		require.NoError(t, err)
		defer dialled.Close()
		data := random(6, 50_000)
		_, err = dialled.Write(data)
		require.NoError(t, err)
		accepted, err := ln.AcceptTCP()
		require.NoError(t, err)
		defer accepted.Close()
		require.Eventually(t, func() bool {
			_, readable, err := waiting(accepted)
			return err == nil && readable == len(data)
		}, 5*time.Second, time.Millisecond, "FIONREAD does not see what came")
		got := make([]byte, len(data))
		for range 3 {
			_, err = io.ReadFull(accepted, got)
			require.NoError(t, err)
			require.Equal(t, sum(data), sum(got))
			_, err = accepted.Write(data)
			require.NoError(t, err)
			_, err = io.ReadFull(dialled, got)
			require.NoError(t, err)
			require.Equal(t, sum(data), sum(got))
			_, err = dialled.Write(data)
			require.NoError(t, err)
		}
		after := counted(t, a)
		require.Equal(t, before.Messages, after.Messages)
		require.Greater(t, after.Alone, before.Alone)
	}
}
