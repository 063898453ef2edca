package uring

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/invariant"
)

// Operations that a loop can start between two enters, and outcomes that have room without the kernel
// having to keep them elsewhere.
const (
	ringEntries = 1024
	ringResults = 4096
)

// A loop is a thread, its ring, and the connections that belong to it.
type loop struct {
	driver  *Driver
	handler engine.Handler
	inbox   loopkit.Inbox[task]
	serial  invariant.Serial

	ring   *ring
	small  *buffers
	large  *buffers // for bulk
	ops    int      // operations that have not ended
	wakeFD int

	table     loopkit.Table[conn]
	conns     []*conn // by id; with those that have no handle any more, but operations
	free      []uint32
	acceptors []*acceptor
	wheel     loopkit.Wheel[conn]
	dirty     []*conn // have bytes to send, and no operation that does
	soon      []*conn // have something to be looked at before the loop waits
	tasks     []task
	vectors   [][]byte  // of one send
	spare     []*vector // not lent to the kernel

	mover             loopkit.Mover // of joined connections
	pumps, sparePumps []*conn       // joined, and may have more than their share
	closing           engine.Handle // what OnClosed is called for, and what Moved says of it
	closingMoved      uint64

	inN, outN        uint64        // bytes, published as in and out once a turn
	in, out, starved atomic.Uint64 // bytes, bytes, times

	began   time.Time // the wheel counts from here
	now     time.Time // of the current event; zero until somebody asks
	stopped bool      // Run is ending: nothing new

	hold loopkit.Holder
	vain bool // it has been held in vain: the loop is idle

	alarmed engine.Alarmed // the handler, where it is one
	alarm   int64          // when OnAlarm is wanted, as the wheel counts; 0: not at all
	relax   func()         // undoes what made the thread punctual, once an alarm was set
}

// A task is what other goroutines have for a loop: one of these.
type task struct {
	post func(engine.Loop, engine.Handler)
	own  func()
	stop error
}

// What an operation is for, in the upper half of its user data. The lower is the id of a connection or
// the place of an acceptor.
const (
	forNobody = iota // a cancellation of what always can be: only the end of that is of interest
	forWake
	forAccept
	forRest
	forRecv
	forSend
	forPoll
	forRoom
	forNews
	forCancel // added to what is cancelled
)

var _ engine.Loop = (*loop)(nil)

func newLoop(d *Driver) *loop {
	return &loop{driver: d, began: time.Now().Add(-time.Second), vectors: make([][]byte, 0, pagesAtOnce)}
}

// run is the thread. It says once whether it could start.
func (l *loop) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer loopkit.Running()()
	defer l.alarmOff()
	err := l.open()
	started <- err
	if err == nil {
		for !l.stopped || l.ops > 0 {
			if l.turn(); l.ring.err != nil {
				l.broken()
				break
			}
		}
	}
	l.close()
}

// open makes the ring and its buffers. They belong to the thread.
func (l *loop) open() (err error) {
	if l.ring, err = newRing(ringEntries, ringResults); err != nil {
		return err
	}
	cfg := &l.driver.cfg
	if l.small, err = newBuffers(l.ring, groupSmall, cfg.Buffers, cfg.BufferSize); err != nil {
		return err
	}
	if l.large, err = newBuffers(l.ring, groupLarge, cfg.Large, cfg.LargeSize); err != nil {
		return err
	}
	l.ring.before = func() {
		l.small.commit()
		l.large.commit()
	}
	if l.wakeFD, err = l.inbox.Open(); err != nil {
		return err
	}
	l.watchInbox()
	return nil
}

func (l *loop) close() {
	l.inbox.Close()
	l.mover.Close()
	for _, b := range [...]*buffers{l.small, l.large} {
		if b != nil {
			_ = b.close()
		}
	}
	if l.ring != nil {
		_ = l.ring.close()
	}
}

// watchInbox has an outcome come whenever the inbox wakes the loop.
func (l *loop) watchInbox() {
	s := l.start(forWake, 0)
	s.op, s.fd, s.len, s.opFlags = opPollAdd, int32(l.wakeFD), pollMultishot, unix.POLLIN
}

// start is a new operation, of which every outcome comes to outcome.
func (l *loop) start(what uint64, who uint32) *sqe {
	s := l.ring.next()
	s.user = what<<32 | uint64(who)
	l.ops++
	return s
}

// cancel ends an operation, whose last outcome comes as ever, mostly as ECANCELED.
func (l *loop) cancel(what uint64, who uint32) {
	s := l.start(forNobody, 0)
	s.op, s.addr = opAsyncCancel, what<<32|uint64(who)
}

// turn gives the kernel what was started, waits when there is nothing to do, and handles what came.
func (l *loop) turn() {
	switch {
	case l.ring.unsent > 0 || len(l.pumps) > 0:
		l.ring.poll()
	case l.ring.ready() == 0:
		if l.inbox.Sleep() {
			l.rest(l.patience())
		} else {
			l.ring.poll() // outcomes come only with an enter, and posts without end must starve nobody
		}
		l.inbox.Awake()
	}
	n := l.ring.ready()
	for i := range n {
		l.outcome(*l.ring.at(i))
	}
	l.ring.advance(n)
	if len(l.pumps) > 0 {
		l.runPumps()
	}
	if l.inbox.Waiting() {
		l.runTasks()
	}
	l.runTimers()
	l.runAlarm()
	l.settle()
	l.flush()
	if l.inN != 0 || l.outN != 0 {
		l.in.Store(l.in.Load() + l.inN) // nobody else writes these: cheaper than adding
		l.out.Store(l.out.Load() + l.outN)
		l.inN, l.outN = 0, 0
	}
}

// rest waits for an outcome, for at most left unless that is negative. It holds on to its processor for a
// moment, where it may, and gives it away then.
func (l *loop) rest(left time.Duration) {
	near := l.alarm != 0 && left < loopkit.Hold // a processor that was lent may come back late
	if l.vain && !near || !l.hold.May() {
		l.ring.wait(left, false)
		l.vain = l.vain && l.ring.ready() == 0
		return
	}
	if left < 0 || left > loopkit.Hold {
		left = loopkit.Hold
	}
	l.ring.wait(left, true)
	l.vain = l.ring.ready() == 0 && left == loopkit.Hold
}

func (l *loop) outcome(c cqe) {
	if c.flags&cqeFMore == 0 {
		l.ops--
	}
	who := uint32(c.user)
	switch what := c.user >> 32; what {
	case forRecv:
		l.conns[who].received(c)
	case forSend:
		l.conns[who].sent(c)
	case forPoll:
		l.conns[who].polled(c)
	case forRoom:
		l.conns[who].room(c)
	case forNews:
		l.conns[who].news(c)
	case forAccept:
		l.acceptors[who].ready(c)
	case forRest:
		l.acceptors[who].rested()
	case forCancel + forRecv, forCancel + forPoll, forCancel + forRoom, forCancel + forNews:
		l.conns[who].cancelEnded(what-forCancel, c)
	case forWake:
		if c.flags&cqeFMore == 0 && !l.stopped {
			l.watchInbox()
		}
	}
}

func (l *loop) runTasks() {
	l.tasks = l.inbox.Take(l.tasks)
	for i, t := range l.tasks {
		switch {
		case t.own != nil:
			t.own()
		case t.stop != nil:
			l.stop(t.stop)
		case !l.stopped:
			l.enter()
			t.post(l, l.handler)
			l.leave()
		}
		l.tasks[i] = task{}
	}
}

// settle looks at the connections that asked for it, among them those that ask meanwhile.
func (l *loop) settle() {
	for i := 0; i < len(l.soon); i++ {
		c := l.soon[i]
		l.soon[i] = nil
		c.soon = false
		c.settle()
	}
	l.soon = l.soon[:0]
}

// enter begins an event of the Handler.
func (l *loop) enter() {
	l.serial.Enter("event of a loop")
	l.now = time.Time{}
}

func (l *loop) leave() { l.serial.Leave("event of a loop") }

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
	return l.table.Get(h)
}

// stop ends every connection and takes no more. The loop goes on until their operations have ended.
func (l *loop) stop(cause error) {
	if l.stopped {
		return
	}
	l.stopped, l.alarm = true, 0
	for c := range l.table.All() {
		c.fail(cause)
	}
	for _, c := range l.conns {
		if c != nil && !c.dead {
			c.die()
		}
	}
	for _, a := range l.acceptors {
		if a != nil {
			a.close()
		}
	}
	l.cancel(forWake, 0)
}

// broken ends everything when the ring is of no use any more: nothing that was started will be heard of.
func (l *loop) broken() {
	err := l.ring.err
	l.driver.cfg.Logger.Error("engine stops", "error", err)
	l.driver.broke <- err
	l.stop(err)
	for _, c := range l.conns {
		if c != nil {
			_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // the kernel may still be sending from memory that is used again
			c.release()
		}
	}
	for _, a := range l.acceptors {
		if a != nil {
			a.release()
		}
	}
	for left := l.inbox.Close(); len(left) > 0; left = left[1:] {
		if left[0].own != nil {
			left[0].own() // a listener's: lets go of its socket
		}
	}
}
