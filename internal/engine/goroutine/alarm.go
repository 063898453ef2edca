package goroutine

import (
	"time"

	"github.com/redlane/redlane/internal/engine/loopkit"
)

// Alarm sets the loop's alarm, for which a thread of its own waits from the first call on.
func (l *loop) Alarm(d time.Duration) {
	l.serial.Inside("loop method called outside of an event")
	if l.stopped {
		return
	}
	if l.alarm == nil {
		l.alarm = loopkit.NewAlarm(l.ring)
		l.driver.running.Go(func() { l.alarm.Run(l.driver.ctx) })
	}
	l.alarm.Set(d)
}

func (l *loop) ring() {
	l.lock()
	defer l.unlock()
	if !l.stopped && l.alarmed != nil {
		l.alarmed.OnAlarm()
	}
}
