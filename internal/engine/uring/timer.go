package uring

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// Kinds of timers: the Handler's, the driver's for a dial and for what is sent after Close, and the one
// after which a send is tried again that was held.
const (
	timerHandler = iota
	timerLimit
	timerAgain
)

// Arm sets h's timer.
func (l *loop) Arm(h engine.Handle, d time.Duration) {
	c := l.get(h)
	switch {
	case c == nil:
	case d <= 0:
		l.wheel.Stop(&c.timer)
	default:
		l.wheel.Arm(&c.timer, l.after(l.Now(), d))
	}
}

// after is d from t as the wheel counts; what is too far away for it is as far as it can be.
func (l *loop) after(t time.Time, d time.Duration) int64 {
	at := int64(t.Sub(l.began)) + int64(d)
	if at < 0 {
		return 1<<63 - 1
	}
	return at
}

// patience is how long the loop may wait: until the first timer or the alarm, or -1 for ever.
func (l *loop) patience() time.Duration {
	at, ok := l.wheel.Next()
	if l.alarm != 0 && (!ok || l.alarm < at) {
		at, ok = l.alarm, true
	}
	if !ok {
		return -1
	}
	return max(0, time.Duration(at)-time.Since(l.began))
}

func (l *loop) runTimers() {
	if l.wheel.Len() == 0 {
		return
	}
	now := l.after(time.Now(), 0)
	for t := l.wheel.Expired(now); t != nil; t = l.wheel.Expired(now) {
		c := t.Owner
		switch {
		case t.Kind == timerLimit:
			c.expired()
		case t.Kind == timerAgain:
			c.mark()
		case !c.gone:
			l.enter()
			l.handler.OnTimer(c.handle)
			l.leave()
		}
	}
}
