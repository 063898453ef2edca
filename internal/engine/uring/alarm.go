package uring

import (
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// Alarm sets the loop's alarm. The loop itself waits for it, in the call in which it waits for everything, so that no
// other thread must wake up first and then wake this one.
func (l *loop) Alarm(d time.Duration) {
	l.serial.Inside("loop method called outside of an event")
	if d < 0 || l.stopped {
		l.alarm = 0
		return
	}
	if l.relax == nil {
		l.relax = clock.Punctual() // kernels before 6.12 add the thread's slack
	}
	l.alarm = l.after(time.Now(), d)
}

func (l *loop) runAlarm() {
	if l.alarm == 0 || int64(time.Since(l.began)) < l.alarm {
		return
	}
	l.alarm = 0
	if l.alarmed != nil {
		l.enter()
		l.alarmed.OnAlarm()
		l.leave()
	}
}

// alarmOff leaves the thread as it was.
func (l *loop) alarmOff() {
	if l.relax != nil {
		l.relax()
	}
}
