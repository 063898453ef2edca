package epoll

import (
	"os"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// forever keeps sums of times within an int64: 73 years.
const forever = 1 << 61

// clock is the time of the current event in nanoseconds since the loop was made, read once and only when
// asked for.
func (l *loop) clock() int64 {
	if l.now == 0 {
		l.now = 1 + int64(time.Since(l.start))
	}
	return l.now
}

// Now is the time of the current event. The machine's wall clock, which somebody may set, is looked at once
// a second: reading both clocks costs twice as much as reading one.
func (l *loop) Now() time.Time {
	if now := l.clock(); l.wallFrom == 0 || now-l.wallFrom > int64(time.Second) {
		l.wall = time.Now()
		l.wallFrom = 1 + int64(l.wall.Sub(l.start))
		l.now = l.wallFrom
	}
	return l.wall.Add(time.Duration(l.now - l.wallFrom))
}

// Arm sets h's timer.
func (l *loop) Arm(h engine.Handle, d time.Duration) {
	switch c := l.get(h); {
	case c == nil:
	case d <= 0:
		l.wheel.Stop(&c.timer)
	default:
		l.wheel.Arm(&c.timer, l.clock()+min(int64(d), forever))
	}
}

// timers fires what is due.
func (l *loop) timers() {
	l.now = 0
	now := l.clock()
	for t := l.wheel.Expired(now); t != nil; t = l.wheel.Expired(now) {
		l.now = 0
		switch c := t.Owner; {
		case t.Kind == timerAccept:
			l.acceptAgain()
		case t.Kind == timerConn:
			l.handler.OnTimer(c.handle)
		case t.Kind == timerAgain:
			if c.queue.Len() > 0 {
				l.flush(c)
			}
		case c.gone:
			l.abandon(c)
		default:
			l.notDialled(c, socket.OpError("dial", c.here, c.there, os.ErrDeadlineExceeded))
		}
	}
}
