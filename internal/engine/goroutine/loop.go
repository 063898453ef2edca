package goroutine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/invariant"
)

// A loop is a lock, a Handler and the connections whose events take that lock.
type loop struct {
	driver  *Driver
	handler engine.Handler
	post    poster
	alarmed engine.Alarmed // handler, where it is one
	alarm   *loopkit.Alarm // nil until it is set

	mu     sync.Mutex // held during every event; guards all below, and the fields of conns that say so
	serial invariant.Serial

	in, out atomic.Uint64 // bytes

	now     time.Time // of the current event; zero until somebody asks
	stopped bool      // Run is ending: nothing new

	conns loopkit.Table[conn]
	// closing holds connections the Handler closed while bytes were queued. They have no handle any more.
	closing map[*conn]struct{}
}

var _ engine.Loop = (*loop)(nil)

func newLoop(d *Driver) *loop {
	l := &loop{driver: d, closing: make(map[*conn]struct{})}
	l.post.loop, l.post.wake = l, make(chan struct{}, 1)
	return l
}

func (l *loop) lock() {
	l.mu.Lock()
	l.serial.Enter("event of a loop")
	l.now = time.Time{}
}

func (l *loop) unlock() {
	l.serial.Leave("event of a loop")
	l.mu.Unlock()
}

// Now is the time of the current event, read once and only when asked for.
func (l *loop) Now() time.Time {
	if l.now.IsZero() {
		l.now = time.Now()
	}
	return l.now
}

// get returns the connection h names, or nil when it is gone.
func (l *loop) get(h engine.Handle) *conn {
	l.serial.Inside("loop method called outside of an event")
	return l.conns.Get(h)
}

// CloseWrite sends FIN after everything queued.
func (l *loop) CloseWrite(h engine.Handle) {
	c := l.get(h)
	if c == nil || c.shut {
		return
	}
	c.shut = true
	if c.open && !c.flushing {
		c.sendFIN()
	}
}

// Close ends h after everything queued has been sent, or has not moved for Config.Linger.
func (l *loop) Close(h engine.Handle) {
	if c := l.get(h); c != nil {
		c.close()
	}
}

// Reset ends h at once with RST. A unix socket has no RST: its peer sees the end of the stream.
func (l *loop) Reset(h engine.Handle) {
	if c := l.get(h); c != nil {
		c.reset()
	}
}

// Pause stops OnData and OnEOF. At most one page that was already read is kept meanwhile.
func (l *loop) Pause(h engine.Handle) {
	if c := l.get(h); c != nil {
		c.paused = true
		c.quiet.Store(true)
	}
}

// Resume lets OnData and OnEOF come again.
func (l *loop) Resume(h engine.Handle) {
	if c := l.get(h); c != nil && c.paused {
		c.paused = false
		c.listenAgain()
	}
}

// stop ends every connection and takes no more.
func (l *loop) stop(cause error) {
	l.lock()
	l.stopped = true
	for c := range l.conns.All() {
		c.fail(cause)
	}
	for c := range l.closing {
		c.abandon()
	}
	l.unlock()
}
