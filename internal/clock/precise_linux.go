package clock

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Precise is the machine's clock with sleeps that end within some tens of microseconds, for the one
// goroutine of a run that keeps its schedule.
//
//	now ─────── runtime timer ───────┬── clock_nanosleep ──► t
//	    gives way to other work      │ 2 ms   blocks its thread
//	    and to the end of ctx
//
// The last 2 to 4 ms of every sleep hold the thread and its P, and do not look at ctx. They are
// only this precise on a goroutine that has called LockThread. A program that sleeps here gives the
// scheduler one P more than it has loops to run (GOMAXPROCS).
var Precise Clock = precise{}

type precise struct{}

const (
	coarse = 4 * time.Millisecond // sleep longer than this by a runtime timer first
	fine   = 2 * time.Millisecond // and leave this much: a runtime timer is up to 1.1 ms late when idle
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
		default:
			nanosleep(d)
		}
	}
}

// nanosleep blocks the thread for d. The deadline is absolute, so that the signals with which the runtime
// preempts goroutines do not stretch the sleep.
func nanosleep(d time.Duration) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		time.Sleep(d)
		return
	}
	ts = unix.NsecToTimespec(ts.Nano() + int64(d))
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// LockThread wires the calling goroutine to its thread and asks the kernel to wake that thread on time:
// the usual slack of 50 µs becomes 1 ns. unlock, called by the same goroutine, undoes both.
func LockThread() (unlock func()) {
	runtime.LockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	return func() {
		if err == nil {
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) // a thread left eager harms nobody
		}
		runtime.UnlockOSThread()
	}
}
