package epoll

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
	"github.com/redlane/redlane/internal/invariant"
)

const (
	eventsPerTurn = 256
	readSize      = 64 << 10 // one read takes what a sender has on the way: a larger one only leaves the cache
)

// A loop is a thread, its epoll descriptor, a Handler and the connections that are theirs.
type loop struct {
	driver  *Driver
	handler engine.Handler
	inbox   loopkit.Inbox[post]

	poller  int               // epoll descriptor
	events  []unix.EpollEvent // of this turn
	ready   []engine.Handle   // connections to look at again in the next turn, without an event
	buf     []byte            // what was read; the Handler sees it until OnData returns
	conns   loopkit.Table[conn]
	unused  []*conn // to be used again
	wheel   loopkit.Wheel[conn]
	stopped bool // Run is ending: nothing new
	serial  invariant.Serial

	mover        loopkit.Mover // of joined connections
	closing      engine.Handle // what OnClosed is called for, and what Moved says of it
	closingMoved uint64

	acceptors  []*acceptor // by their index; nil where one was closed
	acceptWait time.Duration
	retry      loopkit.Timer[conn] // when acceptors that ran out of descriptors try again

	posts   []post          // being run
	spare   []engine.Handle // the other slice of ready
	vectors [][]byte        // of one writev

	start    time.Time // what the wheel counts from
	now      int64     // nanoseconds since start at the current event; 0 until somebody asks
	wall     time.Time // see Now
	wallFrom int64
	noWait2  bool // the kernel is older than 5.11
	holder   loopkit.Holder
	vain     bool // it has been held in vain: the loop is idle

	alarmed engine.Alarmed // the handler, where it is one
	alarm   int64          // when OnAlarm is wanted, nanoseconds since start; 0: not at all
	relax   func()         // undoes what made the thread punctual, once an alarm was set

	inN, outN uint64 // bytes, published as in and out once a turn
	in, out   atomic.Uint64
}

// A post is one thing that came through the Inbox.
type post struct {
	f        func(engine.Loop, engine.Handler) // an event
	acceptor *acceptor                         // to be watched, or forgotten when it is closed
	arrival  arrival                           // a connection another thread accepted, when fd is not 0
	stop     error                             // why Run ends
}

var _ engine.Loop = (*loop)(nil)

func newLoop(d *Driver) *loop {
	l := &loop{
		driver:  d,
		events:  make([]unix.EpollEvent, eventsPerTurn),
		buf:     make([]byte, readSize),
		vectors: make([][]byte, 0, 16),
		start:   time.Now(),
	}
	l.retry.Kind = timerAccept
	l.mover = loopkit.Mover{Buf: l.buf, In: &l.inN, Out: &l.outN}
	return l
}

// open makes the descriptors.
func (l *loop) open() (err error) {
	l.poller, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		l.poller = 0
		return os.NewSyscallError("epoll_create1", err)
	}
	wake, err := l.inbox.Open()
	if err != nil {
		return err
	}
	return l.watch(wake, unix.EPOLLIN|unix.EPOLLET, wakeUp)
}

// close gives back what open made, and what nobody has taken out of the Inbox.
func (l *loop) close() {
	for _, p := range l.inbox.Close() {
		p.arrival.refuse()
	}
	l.mover.Close()
	if l.poller != 0 {
		socket.Close(l.poller)
	}
}

// run is the thread.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer loopkit.Running()()
	defer l.alarmOff()
	for !l.stopped {
		n := l.wait()
		l.serial.Enter("turn of a loop")
		l.turn(n)
		l.serial.Leave("turn of a loop")
	}
}

// turn handles n events and all that is not an event of a socket.
func (l *loop) turn(n int) {
	for i := range l.events[:n] {
		l.now = 0
		l.event(&l.events[i])
	}
	if len(l.ready) > 0 {
		l.again()
	}
	if l.wheel.Len() > 0 {
		l.timers()
	}
	if l.alarm != 0 {
		l.runAlarm()
	}
	if l.inbox.Waiting() {
		l.takePosts()
	}
	if l.inN != 0 || l.outN != 0 {
		l.in.Store(l.in.Load() + l.inN) // nobody else writes these: cheaper than adding
		l.out.Store(l.out.Load() + l.outN)
		l.inN, l.outN = 0, 0
	}
}

// event finds out whose event it is.
func (l *loop) event(e *unix.EpollEvent) {
	if e.Pad == 0 { // no handle has generation 0
		if e.Fd != wakeUp {
			l.accept(l.acceptors[e.Fd])
		}
		return
	}
	c := l.conns.Get(engine.Handle(uint32(e.Pad))<<32 | engine.Handle(uint32(e.Fd)))
	switch {
	case c == nil:
	case c.open:
		l.told(c, e.Events)
	case e.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0:
		l.connected(c, e.Events)
	}
}

// later has c looked at in the next turn.
func (l *loop) later(c *conn) {
	if !c.queued {
		c.queued = true
		l.ready = append(l.ready, c.handle)
	}
}

// again looks at the connections that were put off to this turn.
func (l *loop) again() {
	ready := l.ready
	l.ready = l.spare[:0]
	for _, h := range ready {
		c := l.conns.Get(h)
		if c == nil {
			continue
		}
		l.now = 0
		c.queued = false
		switch {
		case !c.open:
			l.dialled(c)
		case c.joint != nil:
			l.pump(c)
		case c.orphan:
			l.fail(c, errPartner)
		case c.broken != nil:
			l.breaking(c)
		case c.news:
			l.read(c)
		}
	}
	l.spare = ready
}

func (l *loop) takePosts() {
	l.posts = l.inbox.Take(l.posts)
	for i := range l.posts {
		p := l.posts[i]
		l.posts[i] = post{}
		l.now = 0
		switch {
		case l.stopped:
			p.arrival.refuse()
		case p.f != nil:
			p.f(l, l.handler)
		case p.acceptor != nil:
			l.follow(p.acceptor)
		case p.arrival.fd != 0:
			l.serve(p.arrival)
		default:
			l.end(p.stop)
		}
	}
}

// end ends every connection and takes no more.
func (l *loop) end(cause error) {
	l.stopped, l.alarm = true, 0
	for c := range l.conns.All() {
		if c.gone {
			l.abandon(c)
		} else {
			l.fail(c, cause)
		}
	}
}

// get returns the connection h names, or nil when it is gone.
func (l *loop) get(h engine.Handle) *conn {
	l.serial.Inside("loop method called outside of an event")
	if c := l.conns.Get(h); c != nil && !c.gone {
		return c
	}
	return nil
}
