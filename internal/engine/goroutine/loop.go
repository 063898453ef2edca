package goroutine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

// A loop is a lock, a Handler and the connections whose events take that lock.
type loop struct {
	driver  *Driver
	handler engine.Handler
	post    poster

	mu     sync.Mutex // held during every event; guards all below, and the fields of conns that say so
	serial invariant.Serial

	in, out atomic.Uint64 // bytes

	now     time.Time // of the current event; zero until somebody asks
	stopped bool      // Run is ending: nothing new

	slots []slot
	free  []uint32
	// closing holds connections the Handler closed while bytes were queued. They have no handle any more.
	closing map[*conn]struct{}
}

// A slot is the place a handle points at. gen grows with every use, so that an old handle finds nothing.
type slot struct {
	gen  uint32
	conn *conn
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

// add gives c a slot and a handle.
func (l *loop) add(c *conn) {
	var i uint32
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{gen: 1})
	}
	s := &l.slots[i]
	s.conn = c
	c.handle = engine.Handle(s.gen)<<32 | engine.Handle(i)
}

// remove takes c's slot back. From here on its handle names nothing.
func (l *loop) remove(c *conn) {
	i := uint32(c.handle)
	s := &l.slots[i]
	s.conn = nil
	if s.gen++; s.gen == 0 {
		s.gen = 1
	}
	l.free = append(l.free, i)
}

// get returns the connection h names, or nil when it is gone.
func (l *loop) get(h engine.Handle) *conn {
	l.serial.Inside("loop method called outside of an event")
	i, gen := uint32(h), uint32(h>>32)
	if int(i) >= len(l.slots) || l.slots[i].gen != gen {
		return nil
	}
	return l.slots[i].conn
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
	for i := range l.slots { // nothing is added any more
		if c := l.slots[i].conn; c != nil {
			c.fail(cause)
		}
	}
	for c := range l.closing {
		c.abandon()
	}
	l.unlock()
}
