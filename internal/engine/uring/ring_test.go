package uring

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The kernel reads and writes these by offset.
func TestLayout(t *testing.T) {
	f := func(what string, got, want uintptr) {
		t.Helper()
		require.Equal(t, want, got, what)
	}
	var (
		s sqe
		c cqe
		p params
		a enterArg
		e bufEntry
		b bufReg
	)
	f("sqe", unsafe.Sizeof(s), 64)
	f("sqe.off", unsafe.Offsetof(s.off), 8)
	f("sqe.addr", unsafe.Offsetof(s.addr), 16)
	f("sqe.len", unsafe.Offsetof(s.len), 24)
	f("sqe.opFlags", unsafe.Offsetof(s.opFlags), 28)
	f("sqe.user", unsafe.Offsetof(s.user), 32)
	f("sqe.group", unsafe.Offsetof(s.group), 40)
	f("cqe", unsafe.Sizeof(c), 16)
	f("cqe.res", unsafe.Offsetof(c.res), 8)
	f("cqe.flags", unsafe.Offsetof(c.flags), 12)
	f("params", unsafe.Sizeof(p), 120)
	f("params.features", unsafe.Offsetof(p.features), 20)
	f("params.sq", unsafe.Offsetof(p.sq), 40)
	f("params.sq.array", unsafe.Offsetof(p.sq)+unsafe.Offsetof(p.sq.array), 64)
	f("params.cq", unsafe.Offsetof(p.cq), 80)
	f("params.cq.cqes", unsafe.Offsetof(p.cq)+unsafe.Offsetof(p.cq.cqes), 100)
	f("enterArg", unsafe.Sizeof(a), 24)
	f("enterArg.min", unsafe.Offsetof(a.min), 12)
	f("enterArg.ts", unsafe.Offsetof(a.ts), 16)
	f("timespec", unsafe.Sizeof(timespec{}), 16)
	f("bufEntry", unsafe.Sizeof(e), 16)
	f("bufEntry.id", unsafe.Offsetof(e.id), 12)
	f("bufEntry.tail", unsafe.Offsetof(e.tail), 14)
	f("bufReg", unsafe.Sizeof(b), 40)
	f("bufReg.group", unsafe.Offsetof(b.group), 12)
	f("opProbe", unsafe.Sizeof(opProbe{}), 8)
	f("probeHead", unsafe.Sizeof(probeHead{}), 16)
}

// testRing is a ring of the test's thread.
func testRing(t *testing.T, entries, cqEntries uint32) *ring {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	r, err := newRing(entries, cqEntries)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, r.close()) })
	return r
}

// More operations than the ring has room for: next makes room, and outcomes that do not fit wait.
func TestRingOverflows(t *testing.T) {
	r := testRing(t, 4, 8)
	const n = 1000
	for i := range n {
		r.next().user = uint64(i) // operation 0 does nothing
	}
	seen := make(map[uint64]bool)
	for end := time.Now().Add(10 * time.Second); len(seen) < n && time.Now().Before(end); r.wait(time.Millisecond, false) {
		k := r.ready()
		for i := range k {
			seen[r.at(i).user] = true
		}
		r.advance(k)
	}
	require.Len(t, seen, n)
	require.NoError(t, r.err)
}

func TestRingWaits(t *testing.T) {
	r := testRing(t, 4, 8)
	from := time.Now()
	r.wait(30*time.Millisecond, false)
	require.GreaterOrEqual(t, time.Since(from), 30*time.Millisecond)
	require.Zero(t, r.ready())
	r.poll()
	r.wait(0, false)
	require.NoError(t, r.err)
	r.next().user = 7
	r.wait(time.Minute, false)
	require.EqualValues(t, 1, r.ready())
	require.EqualValues(t, 7, r.at(0).user)
}

// A hidden wait is for as many outcomes as are wanted, and after a while for fewer.
func TestRingGathers(t *testing.T) {
	r := testRing(t, 8, 16)
	if !r.gathers {
		t.Skip("this kernel is older than 6.12")
	}
	poll := func(user uint64) (fd int) {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
		s := r.next()
		s.op, s.fd, s.opFlags, s.user = opPollAdd, int32(fd), unix.POLLIN, user
		return fd
	}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	wake := func(fd int) {
		_, err := unix.Write(fd, one)
		assert.NoError(t, err)
	}
	wait := func(d time.Duration, hidden bool) (came int) {
		for end := time.Now().Add(d); r.ready() == 0 && time.Now().Before(end); { // signals end it early
			r.wait(d, hidden)
		}
		came = int(r.ready())
		r.advance(uint32(came))
		return came
	}
	r.want, r.wantFor = 2, 10*time.Second
	both := false
	for i := uint64(10); i < 200 && !both; i += 2 { // the runtime's signals end a wait of some milliseconds
		first, second := poll(i), poll(i+1)
		wake(first)
		later := time.AfterFunc(time.Millisecond, func() { wake(second) })
		came := wait(30*time.Second, true)
		both = came == 2
		for ; came < 2; came += wait(30*time.Second, false) {
		}
		later.Stop()
	}
	require.True(t, both, "it never waited for the second")

	first := poll(3)
	wake(first)
	require.Equal(t, 1, wait(30*time.Second, false), "not hidden: any will do")
	first = poll(4)
	wake(first)
	require.Equal(t, 1, wait(10*time.Second, true), "no longer than wanted: any will do")

	r.wantFor = 500 * time.Microsecond
	patient := false
	for i := uint64(300); i < 400 && !patient; i++ {
		wake(poll(i))
		from := time.Now()
		require.Equal(t, 1, wait(30*time.Second, true))
		patient = time.Since(from) >= r.wantFor
	}
	require.True(t, patient, "it never waited for more")
	require.NoError(t, r.err)
}

// A ring that broke says so and stays usable enough to be left.
func TestRingBreaks(t *testing.T) {
	r := testRing(t, 4, 8)
	fd := r.fd
	r.fd = -1
	for range 20 {
		r.next().user = 1
	}
	r.poll()
	r.fd = fd
	require.ErrorIs(t, r.err, unix.EBADF)
}

// Bytes go through few buffers many times, and the kernel says when there are none.
func TestBuffers(t *testing.T) {
	r := testRing(t, 8, 16)
	const n, size = 4, 16
	b, err := newBuffers(r, groupSmall, n, size)
	require.NoError(t, err)
	r.before = b.commit
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	take := func() cqe {
		t.Helper()
		if r.ready() == 0 {
			r.wait(10*time.Second, false)
		}
		require.Positive(t, r.ready())
		c := *r.at(0)
		r.advance(1)
		return c
	}
	arm := func() {
		s := r.next()
		s.op, s.flags, s.fd, s.ioprio, s.group = opRecv, sqeBufferSelect, int32(pair[0]), recvMultishot, groupSmall
	}
	arm()
	for i := range 70_000 / size { // the tail of the ring wraps
		want := byte(i)
		_, err := unix.Write(pair[1], []byte{want, want})
		require.NoError(t, err)
		c := take()
		require.EqualValues(t, 2, c.res)
		id := uint16(c.flags >> 16)
		require.Equal(t, []byte{want, want}, b.get(id, 2))
		b.put(id)
	}
	_, err = unix.Write(pair[1], make([]byte, size*(n+1)))
	require.NoError(t, err)
	var ids []uint16
	for range n {
		c := take()
		require.EqualValues(t, size, c.res)
		ids = append(ids, uint16(c.flags>>16))
	}
	require.EqualValues(t, -int32(unix.ENOBUFS), take().res)
	require.ElementsMatch(t, []uint16{0, 1, 2, 3}, ids)
	b.put(ids[0])
	arm()
	require.EqualValues(t, size, take().res)
	require.NoError(t, b.close())
}
