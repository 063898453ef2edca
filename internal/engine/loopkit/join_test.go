package loopkit

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
)

// A couple is two joined ends, and what their peers hold.
type couple struct {
	t       *testing.T
	m       Mover
	in, out uint64
	ends    [2]End
	queues  [2]Queue
	peers   [2]int
}

func newCouple(t *testing.T) *couple {
	c := &couple{t: t}
	c.m = Mover{Buf: make([]byte, 4<<10), In: &c.in, Out: &c.out}
	for i := range c.ends {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		c.ends[i] = End{FD: pair[0], Queue: &c.queues[i]}
		c.peers[i] = pair[1]
		t.Cleanup(func() {
			unix.Close(pair[0])
			unix.Close(pair[1])
		})
	}
	Pair(&c.ends[0], &c.ends[1])
	t.Cleanup(c.m.Close)
	return c
}

// move moves from one end until it says that there is no more to do, and sends the other's queue.
func (c *couple) move(from int) Result {
	e := &c.ends[from]
	e.News = true
	for {
		r := c.m.Move(e)
		require.Nil(c.t, r.At, "%s: %v", r.Act, r.Errno)
		if !c.send(1-from) && !r.Again {
			return r
		}
	}
}

// send sends an end's queue, as a driver does, and reports whether it is empty after that.
func (c *couple) send(to int) (sent bool) {
	for c.queues[to].Len() > 0 {
		n, errno := socket.Writev(c.ends[to].FD, c.queues[to].Buffers(make([][]byte, 0, 16)))
		require.Zero(c.t, errno)
		if n == 0 {
			return false
		}
		c.queues[to].Consume(n)
		sent = true
	}
	return sent
}

// take reads what one peer has been sent.
func (c *couple) take(at int) (got []byte) {
	b := make([]byte, 64<<10)
	for {
		n, errno := socket.Read(c.peers[at], b)
		if n == 0 || errno != 0 {
			return got
		}
		got = append(got, b[:n]...)
	}
}

// Whatever the sizes of writes and reads: the same bytes in the same order, through buffer, queue and pipe.
func TestMove(t *testing.T) {
	c := newCouple(t)
	r := rand.New(rand.NewPCG(1, 2))
	var sent, got []byte
	piped, queued := 0, 0
	for range 300 {
		b := make([]byte, 1+r.IntN(100<<r.IntN(12)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		n, errno := socket.Write(c.peers[0], b)
		require.Zero(t, errno)
		sent = append(sent, b[:n]...)
		c.move(0)
		piped, queued = max(piped, c.ends[0].Held()), max(queued, c.queues[1].Len())
		if r.IntN(4) == 0 {
			got = append(got, c.take(1)...)
		}
	}
	for len(got) < len(sent) {
		c.move(0)
		more := c.take(1)
		require.NotEmpty(t, more, "%d of %d bytes arrived", len(got), len(sent))
		got = append(got, more...)
	}
	require.True(t, bytes.Equal(sent, got))
	require.Equal(t, uint64(len(sent)), c.ends[0].Moved)
	require.Equal(t, uint64(len(sent)), c.in)
	require.Positive(t, piped, "the pipe was never full: this tests nothing")
	require.Positive(t, queued, "nothing was ever queued: this tests nothing")
}

// The end of one direction is passed on behind its bytes; both make the end of the pair.
func TestMoveToTheEnd(t *testing.T) {
	c := newCouple(t)
	for i := range 2 {
		_, errno := socket.Write(c.peers[i], []byte("last words"))
		require.Zero(t, errno)
		socket.CloseWrite(c.peers[i])
		c.ends[i].Fin = true
		require.Equal(t, i == 1, c.move(i).Over)
		require.Equal(t, "last words", string(c.take(1-i)))
		n, errno := socket.Read(c.peers[1-i], make([]byte, 1))
		require.True(t, n == 0 && errno == 0, "the other sees no end: %v", errno)
	}
}

// What is in the pipe when a pair ends is queued, or thrown away, and the pipe is not used again then.
func TestPart(t *testing.T) {
	f := func(keep bool) {
		t.Helper()
		c := newCouple(t)
		total := 0
		for c.ends[0].Held() == 0 {
			n, errno := socket.Write(c.peers[0], make([]byte, 100<<10))
			require.Zero(t, errno)
			total += n
			c.move(0)
		}
		held := c.ends[0].Held()
		c.m.Part(&c.ends[0], keep)
		if !keep {
			held = 0
		}
		require.Equal(t, held, c.queues[1].Len())
		require.Zero(t, c.ends[0].Held())
		for _, p := range c.m.pipes {
			n, _ := socket.Read(p.r, make([]byte, 1))
			require.Zero(t, n, "bytes of one pair in the pipe of the next")
		}
	}
	f(true)
	f(false)
}

// A reset is found though nothing is read, but not before the bytes that came first.
func TestLost(t *testing.T) {
	c := newCouple(t)
	e := &c.ends[0]
	e.News, e.Odd = true, true
	require.Zero(t, e.Lost())
	_, errno := socket.Write(c.peers[0], []byte("first"))
	require.Zero(t, errno)
	_, errno = socket.Write(e.FD, []byte("never read")) // closing over it is a reset
	require.Zero(t, errno)
	unix.Close(c.peers[0])
	c.peers[0] = -1
	require.Zero(t, e.Lost())
	require.Equal(t, unix.ECONNRESET, c.m.Move(e).Errno)
}
