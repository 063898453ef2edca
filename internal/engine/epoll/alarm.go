package epoll

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
		l.relax = clock.Punctual()
	}
	l.alarm = 1 + int64(time.Since(l.start)) + min(int64(d), forever) // from now, not from when the event began
}

func (l *loop) runAlarm() {
	l.now = 0
	if l.clock() < l.alarm {
		return
	}
	l.alarm = 0
	if l.alarmed != nil {
		l.alarmed.OnAlarm()
	}
}

// alarmOff leaves the thread as it was.
func (l *loop) alarmOff() {
	if l.relax != nil {
		l.relax()
	}
}
