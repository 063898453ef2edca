package clock

import (
	"context"
	"errors"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Precise is the machine's clock with sleeps that end within some tens of microseconds, for the one
// goroutine of a run that keeps its schedule.
//
//	now ─────── runtime timer ───────┬─ clock_nanosleep ─┬─ clock_nanosleep ──► t
//	    gives way to other work      │ 2 ms   blocks     │ 1 ms   keeps its P
//	    and to the end of ctx          its thread
//
// The last 2 to 4 ms of every sleep hold the thread, and do not look at ctx; the last of them holds its P
// too, as a loop of an engine does: a P that was lent meanwhile may come back 10 ms late. That is only done where
// Go may use more processors than there are (GOMAXPROCS), for it leaves one less to everybody else. Sleeps are
// only this precise on a goroutine that has called LockThread.
var Precise Clock = precise{}

type precise struct{}

const (
	coarse = 4 * time.Millisecond // sleep longer than this by a runtime timer first
	fine   = 2 * time.Millisecond // and leave this much: a runtime timer is up to 1.1 ms late when idle
	keep   = time.Millisecond     // do not let go of the P for less than this
)

func (precise) Now() time.Time { return time.Now() }

func (precise) SleepUntil(ctx context.Context, t time.Time) error {
	for {
		d := time.Until(t)
		switch {
		case d <= 0:
			return ctx.Err()
		case d > coarse:
			if err := System.SleepUntil(ctx, t.Add(-fine)); err != nil {
				return err
			}
		case runtime.GOMAXPROCS(0) <= runtime.NumCPU():
			nanosleep(d, unix.ClockNanosleep)
		case d > keep:
			nanosleep(d-keep/2, unix.ClockNanosleep)
		default:
			nanosleep(d, rawNanosleep)
		}
	}
}

// nanosleep blocks the thread for d. The deadline is absolute, so that the signals with which the runtime
// preempts goroutines do not stretch the sleep.
func nanosleep(d time.Duration, sleep func(clock int32, flags int, until, left *unix.Timespec) error) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		time.Sleep(d)
		return
	}
	ts = unix.NsecToTimespec(ts.Nano() + int64(d))
	for errors.Is(sleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// rawNanosleep does not tell the scheduler. The signal of a collection that wants the goroutine to stop ends it.
func rawNanosleep(clock int32, flags int, until, _ *unix.Timespec) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, uintptr(clock), uintptr(flags), uintptr(unsafe.Pointer(until)), 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

// LockThread wires the calling goroutine to its thread and makes that Punctual. unlock, called by the same
// goroutine, undoes both.
func LockThread() (unlock func()) {
	runtime.LockOSThread()
	relax := Punctual()
	return func() {
		relax()
		runtime.UnlockOSThread()
	}
}

// Punctual asks the kernel to wake the calling thread on time: the usual slack of 50 µs becomes 1 ns. relax, called on
// the same thread, undoes it.
func Punctual() (relax func()) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	return func() {
		if err == nil {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) // a thread left eager harms nobody
		}
	}
}
