package uring

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
)

var _ engine.Gatherer = (*loop)(nil)

// Gather says what a loop that has nothing to do waits for while it holds its processor. One that has given it away
// waits for anything.
func (l *loop) Gather(n int, d time.Duration) {
	l.serial.Inside("loop method called outside of an event")
	l.ring.want, l.ring.wantFor = 0, d
	if l.ring.gathers && d >= time.Microsecond {
		l.ring.want = min(n, ringResults/2)
	}
}
