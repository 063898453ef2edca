package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ring is the two queues shared with the kernel. One thread makes it, uses it and closes it: the kernel
// holds that thread to it, and in return runs completions only while the thread is in enter.
//
//	next ──► sqes ──► enter ──► kernel ──► cqes ──► ready, at, advance
type ring struct {
	fd      int
	rings   []byte // shared: heads, tails and cqes
	sqeMem  []byte // shared: sqes
	sqHead  *uint32
	sqTail  *uint32
	sqMask  uint32
	sqes    []sqe
	tail    uint32 // of the sqes handed out
	unsent  uint32 // handed out and not yet taken by the kernel
	cqHead  *uint32
	cqTail  *uint32
	cqMask  uint32
	cqes    []cqe
	head    uint32   // of the cqes seen
	before  func()   // runs before each enter
	enters  uint64   // system calls made
	arg     enterArg // read by the kernel
	ts      timespec // arg points here
	err     error    // the ring is of no use any more
	scratch sqe      // what next returns then

	gathers bool // the kernel can
	want    int  // outcomes that a hidden wait is for, or those of wantFor
	wantFor time.Duration
}

// newRing makes a ring of the calling thread, which must be locked. It has room for entries operations
// between two enters, and for cqEntries outcomes; more of those wait in kernel memory. Both are powers of 2.
func newRing(entries, cqEntries uint32) (*ring, error) {
	p := params{flags: setupSingleIssuer | setupDeferTaskrun | setupSubmitAll | setupCQSize, cqEntries: cqEntries}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("set up io_uring: %w", explain(errno))
	}
	r := &ring{fd: int(fd), before: func() {}, gathers: p.features&featMinTimeout != 0}
	if want := uint32(featSingleMmap | featNoDrop | featFastPoll | featExtArg); p.features&want != want {
		_ = r.close()
		return nil, fmt.Errorf("set up io_uring: this kernel lacks features %#x", want&^p.features)
	}
	if err := r.share(&p); err != nil {
		_ = r.close()
		return nil, err
	}
	return r, nil
}

// explain says what an errno of io_uring_setup means to whoever runs the machine.
func explain(errno unix.Errno) error {
	switch errno {
	case unix.ENOSYS:
		return fmt.Errorf("not in this kernel, or hidden by a seccomp filter: %w", errno)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("forbidden by kernel.io_uring_disabled or a seccomp filter: %w", errno)
	case unix.EINVAL:
		return fmt.Errorf("this kernel is older than 6.1: %w", errno)
	case unix.ENOMEM:
		return fmt.Errorf("no memory for the rings: the memory limit of the cgroup or RLIMIT_MEMLOCK is too low: %w", errno)
	}
	return errno
}

// share maps what the kernel set up.
func (r *ring) share(p *params) (err error) {
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(int(p.cq.cqes+p.cqEntries*uint32(cqeSize)), int(p.sq.array+p.sqEntries*4))
	if r.rings, err = unix.Mmap(r.fd, offRings, size, prot, flags); err != nil {
		return fmt.Errorf("map io_uring: %w", err)
	}
	if r.sqeMem, err = unix.Mmap(r.fd, offSQEs, int(p.sqEntries)*int(sqeSize), prot, flags); err != nil {
		return fmt.Errorf("map io_uring: %w", err)
	}
	at := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[off])) }
	r.sqHead, r.sqTail, r.sqMask = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask)
	r.cqHead, r.cqTail, r.cqMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.sqeMem[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	for i, order := 0, unsafe.Slice(at(p.sq.array), p.sqEntries); i < len(order); i++ {
		order[i] = uint32(i) // sqes go in the order they are made, always
	}
	r.arg = enterArg{size: 8, ts: r.ts.address()}
	return nil
}

// next returns the next operation to fill in, which goes to the kernel with the next enter. What it points
// at must stay where it is until its last cqe.
func (r *ring) next() *sqe {
	for r.tail-atomic.LoadUint32(r.sqHead) >= uint32(len(r.sqes)) {
		if r.submit(0); r.err != nil {
			r.scratch = sqe{}
			return &r.scratch
		}
	}
	s := &r.sqes[r.tail&r.sqMask]
	*s = sqe{}
	r.tail++
	r.unsent++
	return s
}

// poll gives the kernel what next returned, lets it do what it can at once, and does not wait. It hides
// from the scheduler, which costs less and is right only because it does not wait.
func (r *ring) poll() { r.submit(enterGetEvents) }

func (r *ring) submit(flags uintptr) {
	r.before()
	atomic.StoreUint32(r.sqTail, r.tail)
	r.enters++
	n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.unsent), 0, flags, 0, 0)
	r.entered(n, errno)
}

// wait is poll that waits for an outcome, at most d; d < 0 means as long as it takes. Where hidden, the
// scheduler is not told: see loopkit.Hold.
func (r *ring) wait(d time.Duration, hidden bool) {
	r.before()
	atomic.StoreUint32(r.sqTail, r.tail)
	r.enters++
	flags, arg, size := uintptr(enterGetEvents), unsafe.Pointer(nil), uintptr(0)
	if d >= 0 {
		r.ts = timespec{int64(d / time.Second), int64(d % time.Second)}
		flags, arg, size = flags|enterExtArg, unsafe.Pointer(&r.arg), unsafe.Sizeof(r.arg)
	}
	enter, want := unix.Syscall6, 1
	r.arg.min = 0
	if hidden {
		enter = unix.RawSyscall6
		if r.want > 1 && d > r.wantFor {
			want, r.arg.min = r.want, uint32(r.wantFor/time.Microsecond)
		}
	}
	n, _, errno := enter(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.unsent), uintptr(want), flags, uintptr(arg), size)
	r.entered(n, errno)
}

func (r *ring) entered(n uintptr, errno unix.Errno) {
	switch errno {
	case 0:
		r.unsent -= uint32(n)
	case unix.EINTR, unix.ETIME, unix.EAGAIN, unix.EBUSY: // what was not taken is taken the next time
	default:
		if r.err == nil {
			r.err = fmt.Errorf("enter io_uring: %w", errno)
		}
	}
}

// ready is how many cqes have come.
func (r *ring) ready() uint32 { return atomic.LoadUint32(r.cqTail) - r.head }

// at is the i-th of them, valid until advance.
func (r *ring) at(i uint32) *cqe { return &r.cqes[(r.head+i)&r.cqMask] }

// advance gives the first n back.
func (r *ring) advance(n uint32) {
	r.head += n
	atomic.StoreUint32(r.cqHead, r.head)
}

// register is io_uring_register.
func (r *ring) register(what uintptr, arg unsafe.Pointer, n int) error {
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), what, uintptr(arg), uintptr(n), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// close ends the ring. Operations still under way are cancelled by the kernel some time later, so that
// whoever cares ends them before.
func (r *ring) close() error {
	var errs []error
	for _, mem := range [][]byte{r.sqeMem, r.rings} {
		if mem != nil {
			errs = append(errs, unix.Munmap(mem))
		}
	}
	r.sqeMem, r.rings = nil, nil
	errs = append(errs, unix.Close(r.fd))
	return errors.Join(errs...)
}
