package epoll

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/loopkit"
)

// watch registers a descriptor. key is the index of an acceptor, or wakeUp.
func (l *loop) watch(fd int, events uint32, key int32) error {
	e := unix.EpollEvent{Events: events, Fd: key}
	if err := unix.EpollCtl(l.poller, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

const wakeUp = -1 // the key of the Inbox

// wait fetches events. It first looks without waiting, which needs no word to Go's scheduler: a loop with
// work to do never gives its processor away. When there is nothing to do it holds on to it for a moment
// more, where it may, and blocks then, in a call the scheduler knows about.
func (l *loop) wait() int {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poller), uintptr(unsafe.Pointer(&l.events[0])), eventsPerTurn, 0, 0, 0)
	if e == 0 && n > 0 {
		return int(n)
	}
	if len(l.ready) > 0 {
		return 0
	}
	left := time.Duration(-1)
	at, ok := l.wheel.Next()
	if l.alarm != 0 && (!ok || l.alarm < at) {
		at, ok = l.alarm, true
	}
	if ok {
		l.now = 0
		if left = time.Duration(at - l.clock()); left <= 0 {
			return 0
		}
	}
	events := 0
	if l.inbox.Sleep() {
		events = l.rest(left)
	}
	l.inbox.Awake()
	return events
}

// rest waits for events, for at most left unless that is negative.
func (l *loop) rest(left time.Duration) (events int) {
	near := l.alarm != 0 && left < loopkit.Hold // a processor that was lent may come back late
	if l.vain && !near || l.noWait2 || !l.holder.May() {
		events = l.block(left)
		l.vain = l.vain && events == 0
		return events
	}
	if left < 0 || left > loopkit.Hold {
		left = loopkit.Hold
	}
	spec := unix.NsecToTimespec(int64(left))
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.poller), uintptr(unsafe.Pointer(&l.events[0])), eventsPerTurn,
		uintptr(unsafe.Pointer(&spec)), 0, 0)
	if e != 0 {
		l.noWait2 = e == unix.ENOSYS
		return 0
	}
	l.vain = n == 0 && left == loopkit.Hold
	return int(n)
}

// block waits for events, for at most left unless that is negative.
func (l *loop) block(left time.Duration) int {
	n, e := uintptr(0), unix.ENOSYS
	if !l.noWait2 {
		var until *unix.Timespec
		if left >= 0 {
			spec := unix.NsecToTimespec(int64(left))
			until = &spec
		}
		n, _, e = syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.poller), uintptr(unsafe.Pointer(&l.events[0])), eventsPerTurn,
			uintptr(unsafe.Pointer(until)), 0, 0)
		l.noWait2 = e == unix.ENOSYS
	}
	if l.noWait2 {
		ms := -1
		if left >= 0 {
			ms = int((left + time.Millisecond - 1) / time.Millisecond)
		}
		n, _, e = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poller), uintptr(unsafe.Pointer(&l.events[0])), eventsPerTurn,
			uintptr(ms), 0, 0)
	}
	if e != 0 { // EINTR: a signal of the runtime
		return 0
	}
	return int(n)
}
