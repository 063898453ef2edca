package goroutine

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A timer is a connection's only timer. Moving it later or stopping it, which is what most of its calls
// do, only writes due: the runtime's timer fires early, looks at due, and sets itself again.
type timer struct {
	due   time.Time // when OnTimer is wanted; zero: not at all
	set   time.Time // when runtime is going to fire; zero: it is not set
	sleep *time.Timer
}

// Arm sets h's timer.
func (l *loop) Arm(h engine.Handle, d time.Duration) {
	c := l.get(h)
	switch {
	case c == nil:
	case d <= 0:
		c.timer.due = time.Time{}
	default:
		due := l.Now().Add(d)
		c.timer.due = due
		if c.timer.set.IsZero() || due.Before(c.timer.set) {
			c.setTimer(due, d)
		}
	}
}

// setTimer makes the runtime's timer fire after d. A set or firing timer counts as running in the driver.
func (c *conn) setTimer(due time.Time, d time.Duration) {
	c.timer.set = due
	running := &c.loop.driver.running
	if c.timer.sleep == nil {
		running.Add(1)
		c.timer.sleep = time.AfterFunc(d, c.fire)
	} else if !c.timer.sleep.Reset(d) {
		running.Add(1)
	}
}

func (c *conn) stopTimer() {
	c.timer.due = time.Time{}
	if c.timer.sleep != nil && c.timer.sleep.Stop() {
		c.loop.driver.running.Done()
	}
}

func (c *conn) fire() {
	l := c.loop
	defer l.driver.running.Done()
	l.lock()
	defer l.unlock()
	c.timer.set = time.Time{}
	if c.timer.due.IsZero() { // stopped, or the connection is gone
		return
	}
	if left := c.timer.due.Sub(l.Now()); left > 0 {
		c.setTimer(c.timer.due, left)
		return
	}
	c.timer.due = time.Time{}
	l.handler.OnTimer(c.handle)
}
