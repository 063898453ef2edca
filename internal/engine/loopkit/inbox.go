package loopkit

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// An Inbox takes what other goroutines have for a loop. While the loop is awake a Put costs no system call:
// the loop looks at Waiting in every turn. Only a loop that said it would sleep is woken, by its eventfd.
type Inbox[T any] struct {
	waiting atomic.Bool // there is something to take
	asleep  atomic.Bool

	mu struct {
		sync.Mutex
		queue  []T
		closed bool
		wakeFD int // 0 until Open and after Close
	}
}

// Open makes the eventfd, which the loop has its poller watch for reading. It is never read: watch it
// edge-triggered, or read it.
func (b *Inbox[T]) Open() (wakeFD int, err error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("eventfd", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.wakeFD = fd
	return fd, nil
}

// Put queues v and reports whether it did: a closed Inbox takes nothing. It may be called at any time, on
// any goroutine, also before Open.
func (b *Inbox[T]) Put(v T) bool {
	b.mu.Lock()
	if b.mu.closed {
		b.mu.Unlock()
		return false
	}
	b.mu.queue = append(b.mu.queue, v)
	b.waiting.Store(true)
	if b.asleep.Load() && b.asleep.CompareAndSwap(true, false) && b.mu.wakeFD != 0 {
		_, _ = unix.Write(b.mu.wakeFD, one[:]) // EAGAIN: it has been woken 2^64 times
	}
	b.mu.Unlock()
	return true
}

// one is the number 1 as an eventfd wants it.
var one = [8]byte(binary.NativeEndian.AppendUint64(nil, 1))

// Waiting reports whether there is something to take.
func (b *Inbox[T]) Waiting() bool { return b.waiting.Load() }

// Take returns what is queued, in order, and queues from now on in spare.
func (b *Inbox[T]) Take(spare []T) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.mu.queue
	b.mu.queue = spare[:0]
	b.waiting.Store(false)
	return taken
}

// Sleep says that the loop is going to wait for its poller, and reports whether it may: not when there is
// something to take. The loop calls Awake afterwards in either case.
func (b *Inbox[T]) Sleep() bool {
	b.asleep.Store(true)
	return !b.waiting.Load() // in this order: whoever puts first stores waiting, then looks at asleep
}

// Awake says that the loop does not wait any more.
func (b *Inbox[T]) Awake() { b.asleep.Store(false) }

// Close closes the eventfd and returns what nobody will take.
func (b *Inbox[T]) Close() (left []T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.closed = true
	if b.mu.wakeFD != 0 {
		unix.Close(b.mu.wakeFD)
		b.mu.wakeFD = 0
	}
	left, b.mu.queue = b.mu.queue, nil
	b.waiting.Store(false)
	return left
}
