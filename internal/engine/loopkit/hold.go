package loopkit

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Hold is how long a loop that has nothing to do may wait in a call that Go's scheduler does not know
// about. Such a call keeps the processor from all other goroutines, but nothing has to be told before and
// after it, no thread of the runtime wakes up to see what has become of the loop, and no other takes its
// place for a while. The collector does not wait for it: its signal ends the call. A loop that is busy
// at all is never idle for so long; one that waits longer gives its processor away.
const Hold = time.Millisecond

// loops is how many run in this process.
var loops atomic.Int32

// Running counts a loop in, until done is called.
func Running() (done func()) {
	loops.Add(1)
	return func() { loops.Add(-1) }
}

// A Holder tells a loop whether it may hold its processor while it waits: where Go may use more processors
// than there are loops.
type Holder struct {
	may  bool
	left int // calls until it is looked at again, which takes a lock of the scheduler
}

// May reports it, as of not long ago.
func (h *Holder) May() bool {
	if h.left--; h.left < 0 {
		h.left, h.may = 1000, int(loops.Load()) < runtime.GOMAXPROCS(0)
	}
	return h.may
}
