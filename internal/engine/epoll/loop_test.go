package epoll

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

// teller tells who was accepted, on which loop, and what came.
type teller struct {
	l    engine.Loop
	told chan string
}

func (h *teller) OnAccept(at engine.Handle, tag int, _, _ netip.AddrPort) {
	h.told <- fmt.Sprintf("accept %d", tag)
	h.l.Send(at, []byte("welcome"))
}
func (h *teller) OnDial(engine.Handle)             {}
func (h *teller) OnData(_ engine.Handle, b []byte) { h.told <- string(b) }
func (h *teller) OnEOF(at engine.Handle)           { h.told <- "eof"; h.l.Close(at) }
func (h *teller) OnWritable(engine.Handle)         {}
func (h *teller) OnClosed(engine.Handle, error)    {}
func (h *teller) OnTimer(engine.Handle)            { h.told <- "timer" }

func prepare(t *testing.T, loops int) (*Driver, chan string) {
	t.Helper()
	told := make(chan string, 1000)
	d, err := New(Config{Loops: loops}, func(l engine.Loop) engine.Handler { return &teller{l, told} })
	require.NoError(t, err)
	return d, told
}

func run(t *testing.T, d *Driver) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
}

func next(t *testing.T, told chan string) string {
	t.Helper()
	select {
	case s := <-told:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
		return ""
	}
}

// Whoever waits in a backlog when its listener is closed is served: a reload costs nobody a connection.
func TestCloseServesTheBacklog(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + t.TempDir() + "/socket"} {
		d, told := prepare(t, 2)
		ln, err := d.Listen(engine.Bind{Addr: addr, Tag: 3})
		require.NoError(t, err)
		var clients []net.Conn
		for range 40 {
			c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			clients = append(clients, c)
		}
		require.NoError(t, ln.Close())
		run(t, d)
		for _, c := range clients {
			require.Equal(t, "accept 3", next(t, told))
			_, err := io.ReadFull(c, make([]byte, 7))
			require.NoError(t, err)
		}
	}
}

// A unix socket is one for all loops; its connections are spread.
func TestUnixIsSpread(t *testing.T) {
	d, told := prepare(t, 3)
	ln, err := d.Listen(engine.Bind{Addr: "unix:" + t.TempDir() + "/socket"})
	require.NoError(t, err)
	run(t, d)
	for range 30 {
		c, err := net.Dial("unix", ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		next(t, told)
	}
	for i, l := range d.loops {
		n := make(chan int)
		d.Post(i, func(engine.Loop, engine.Handler) { n <- l.conns.Len() })
		require.Equal(t, 10, <-n)
	}
}

// Urgent data ends a read early. What follows it must not wait for the next segment, which may never come.
func TestUrgentData(t *testing.T) {
	d, told := prepare(t, 1)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	run(t, d)
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	next(t, told)
	held := make(chan bool)
	d.Post(0, func(engine.Loop, engine.Handler) { <-held }) // so that all of it is there when the loop reads
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	c.Write([]byte("before"))
	raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	require.NoError(t, err)
	c.Write([]byte("after"))
	time.Sleep(20 * time.Millisecond)
	held <- true
	require.Equal(t, "before", next(t, told))
	require.Equal(t, "after", next(t, told))
}

// A kernel without epoll_pwait2 wakes to the millisecond.
func TestOldKernel(t *testing.T) {
	d, told := prepare(t, 1)
	d.loops[0].noWait2 = true
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	run(t, d)
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	next(t, told)
	var due time.Time
	d.Post(0, func(l engine.Loop, _ engine.Handler) {
		for c := range d.loops[0].conns.All() {
			due = l.Now().Add(1500 * time.Microsecond)
			l.Arm(c.handle, 1500*time.Microsecond)
		}
	})
	require.Equal(t, "timer", next(t, told))
	require.False(t, time.Now().Before(due), "early")
}

// A connection that always has more to read has its share of a turn, and no more.
func TestFairness(t *testing.T) {
	d, told := prepare(t, 1)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	run(t, d)
	var flood, other net.Conn
	for _, c := range []*net.Conn{&flood, &other} {
		*c, err = net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer (*c).Close()
		next(t, told)
	}
	held := make(chan bool)
	d.Post(0, func(engine.Loop, engine.Handler) { <-held })
	flood.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, _ := flood.Write(make([]byte, 16<<20)) // as much as the kernel holds
	require.Greater(t, n, 2*readsPerTurn*readSize)
	other.Write([]byte("other"))
	time.Sleep(20 * time.Millisecond)
	held <- true
	for got := 0; ; {
		s := next(t, told)
		if s == "other" {
			require.LessOrEqual(t, got, 2*readsPerTurn*readSize)
			return
		}
		got += len(s)
	}
}

func TestMisuseIsCaught(t *testing.T) {
	if !invariant.On {
		t.Skip("needs -race or -tags invariant")
	}
	d, _ := prepare(t, 1)
	require.PanicsWithValue(t, "BUG: loop method called outside of an event", func() { d.loops[0].Send(1, nil) })
}

// Run reports that it cannot begin, and leaves nothing behind.
func TestRunWithoutDescriptors(t *testing.T) {
	d, _ := prepare(t, 2)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	err = d.Run(context.Background())
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, unix.EMFILE)
	_, err = net.Dial("tcp", ln.Addr().String())
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}

// joiner joins whoever comes with upstream.
type joiner struct {
	teller
	upstream string
	client   engine.Handle
	up       engine.Handle
}

func (h *joiner) OnAccept(at engine.Handle, _ int, _, _ netip.AddrPort) {
	h.l.Pause(at)
	h.client, h.up = at, h.l.Dial(h.upstream, time.Minute)
}

func (h *joiner) OnDial(engine.Handle) { h.l.(engine.Joiner).Join(h.client, h.up); h.told <- "joined" }

// What a loop has read of one connection of a pair reaches the other, though the Handler closes both.
func TestCloseEmptiesThePipe(t *testing.T) {
	up, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer up.Close()
	told := make(chan string, 10)
	var h *joiner
	d, err := New(Config{Loops: 1}, func(l engine.Loop) engine.Handler {
		h = &joiner{teller: teller{l, told}, upstream: up.Addr().String()}
		return h
	})
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	run(t, d)
	for range 5 {
		before := d.Stats().In
		c, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		s, err := up.Accept()
		require.NoError(t, err)
		defer s.Close()
		require.Equal(t, "joined", next(t, told))
		piped := 0
		for end := time.Now().Add(10 * time.Second); piped == 0 && time.Now().Before(end); { // a busy machine takes longer to fill the sockets
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			c.Write(make([]byte, 64<<20))
			d.Each(func(l engine.Loop, _ engine.Handler) {
				if piped = d.loops[0].get(h.client).joint.Held() + d.loops[0].get(h.up).queue.Len(); piped > 0 {
					l.Close(h.up)
					l.Close(h.client)
				}
			})
		}
		require.Positive(t, piped, "nothing is under way: this tests nothing")
		n, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.Equal(t, d.Stats().In-before, uint64(n))
	}
}
