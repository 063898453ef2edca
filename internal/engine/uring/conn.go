package uring

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// A conn is one connection. The Handler knows it by its handle until it is gone; its operations know it by
// its id until the last of them has ended, and only then are descriptor and id used again.
//
//	dial ─► open ─► gone ─► dead ─► released
//	                  └ linger ┘      no operation left
type conn struct {
	loop   *loop
	handle engine.Handle
	id     uint32
	fd     int
	remote socket.Addr
	ops    int // operations that have not ended

	open   bool // connected
	gone   bool // the Handler hears no more of it
	linger bool // gone, but its queue is being sent
	dead   bool // waits only for its operations to end
	rst    bool // to be closed with RST
	paused bool
	eof    bool // OnEOF was called
	shut   bool // CloseWrite was called
	soon   bool // in loop.soon
	dirty  bool // in loop.dirty

	recvOn, sendOn, pollOn, roomOn, newsOn bool  // operations that have not ended
	roomLeft                               bool  // the wait for room is being cancelled
	roomCame                               bool  // since the send was started
	cancelled                              bool  // the receive is being cancelled
	once                                   bool  // the receive ends with the first bytes
	large                                  bool  // the receive has the large buffers
	bulk                                   bool  // bytes come in large pieces: see weigh
	odd                                    uint8 // outcomes that spoke against bulk as it is, one after the other
	ending                                 bool  // the peer has ended, or the connection has: see watch

	joint   *loopkit.End // nil unless joined
	partner *conn        // it is joined with
	orphan  bool         // the connection it was joined with is gone
	pumping bool         // in loop.pumps
	moved   uint64       // bytes passed on since Join; joint has it until that ends

	held   loopkit.Queue // received while paused
	inErr  error         // why reading ended, io.EOF among others; told when held is empty
	lost   error         // found while not reading: the connection was reset
	failed error         // the dial or the write that did not work

	queue  loopkit.Queue // to be sent, with what the kernel is sending
	vector *vector       // what the kernel is sending, when it is more than one page
	notify bool          // a Send returned more than 0: OnWritable is due

	timer loopkit.Timer[conn] // the Handler's
	limit loopkit.Timer[conn] // of the dial, or of the linger
	again loopkit.Timer[conn] // of a send that was held, see socket.Held
	waits time.Duration       // how long it is held
}

// add makes a connection with a handle and an id.
func (l *loop) add(fd int, remote socket.Addr) *conn {
	c := &conn{loop: l, fd: fd, remote: remote}
	c.timer.Owner, c.timer.Kind = c, timerHandler
	c.limit.Owner, c.limit.Kind = c, timerLimit
	c.again.Owner, c.again.Kind = c, timerAgain
	if n := len(l.free); n > 0 {
		c.id, l.free = l.free[n-1], l.free[:n-1]
		l.conns[c.id] = c
	} else {
		c.id = uint32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	c.handle = l.table.Add(c)
	return c
}

// start is a new operation on c.
func (c *conn) start(what uint64) *sqe {
	s := c.loop.start(what, c.id)
	s.fd = int32(c.fd)
	c.ops++
	return s
}

// cancel ends an operation of c, whose last outcome comes as ever, mostly as ECANCELED.
func (c *conn) cancel(what uint64) {
	s := c.start(forCancel + what)
	s.op, s.fd, s.addr = opAsyncCancel, -1, what<<32|uint64(c.id)
}

// cancelEnded is the outcome of a cancellation. Between finding bytes and reading them an operation is
// nowhere to be found: then it is looked for again.
func (c *conn) cancelEnded(what uint64, r cqe) {
	on := what == forRecv && c.recvOn || what == forRoom && c.roomOn || what == forNews && c.newsOn || what == forPoll && c.pollOn
	switch missed := on && (r.res == -int32(unix.ENOENT) || r.res == -int32(unix.EALREADY)); {
	case !missed:
	case c.dead:
		c.cancel(what)
	case what == forRecv:
		c.cancelled = false
		c.later()
	case what == forRoom:
		c.roomLeft = false
	}
	c.ended()
}

// ended follows the last outcome of an operation.
func (c *conn) ended() {
	if c.ops--; c.dead && c.ops == 0 {
		c.release()
	}
}

// later has c looked at before the loop waits again. Most things are found out within an event, where the
// Handler must not be called.
func (c *conn) later() {
	if !c.soon {
		c.soon = true
		c.loop.soon = append(c.loop.soon, c)
	}
}

// Close ends h after everything queued has been sent, or has not moved for Config.Linger.
func (l *loop) Close(h engine.Handle) {
	c := l.get(h)
	if c == nil {
		return
	}
	if c.joint != nil {
		c.sever(true)
	}
	c.linger = c.open && c.failed == nil && c.queue.Len() > 0
	c.end()
}

// Reset ends h at once with RST. A unix socket has no RST: its peer sees the end of the stream.
func (l *loop) Reset(h engine.Handle) {
	if c := l.get(h); c != nil {
		if c.joint != nil {
			c.sever(false)
		}
		c.rst = c.open
		c.end()
	}
}

// Pause stops OnData and OnEOF. The receive stays under way until it brings something, which mostly it
// does not; what comes until it is cancelled then is kept, at most 64 buffers.
func (l *loop) Pause(h engine.Handle) {
	if c := l.get(h); c != nil && !c.paused && c.joint == nil {
		c.paused = true
		if c.failed != nil {
			c.later()
		}
	}
}

// Resume lets OnData and OnEOF come again.
func (l *loop) Resume(h engine.Handle) {
	if c := l.get(h); c != nil && c.paused {
		c.paused = false
		if !c.recvOn || c.inErr != nil || c.held.Len() > 0 {
			c.later()
		}
	}
}

// fail ends c and tells the Handler why.
func (c *conn) fail(err error) {
	l := c.loop
	if c.joint != nil || c.orphan {
		c.rst = c.open && !errors.Is(err, io.EOF) // its peer is to see that something is missing
	}
	if c.joint != nil {
		c.sever(false)
	}
	c.end()
	l.closing, l.closingMoved = c.handle, c.moved
	l.enter()
	l.handler.OnClosed(c.handle, err)
	l.leave()
	l.closing = 0
}

// end makes the Handler's handle void.
func (c *conn) end() {
	l := c.loop
	c.gone, c.orphan = true, false
	l.table.Remove(c.handle)
	l.wheel.Remove(&c.timer)
	c.held.Drop()
	if c.open {
		l.driver.stats.Open.Add(-1)
	}
	if !c.linger {
		c.die()
		return
	}
	l.wheel.Arm(&c.limit, l.after(l.Now(), l.driver.cfg.Linger))
	c.later() // what still arrives is read and thrown away: closing over it would send RST and lose the queue
}

// die ends c's operations. When none is left it is released, though never within an event: the descriptor
// that the Handler's next dial gets might otherwise be c's.
func (c *conn) die() {
	c.dead = true
	l := c.loop
	l.wheel.Remove(&c.limit)
	l.wheel.Remove(&c.again)
	if c.recvOn && !c.cancelled {
		c.cancel(forRecv)
	}
	if c.roomOn && !c.roomLeft {
		c.cancel(forRoom)
	}
	if c.pollOn {
		c.cancel(forPoll)
	}
	if c.newsOn {
		c.cancel(forNews)
	}
	if c.ops == 0 {
		c.later()
	}
}

// release closes the descriptor, which nothing uses any more.
func (c *conn) release() {
	if c.fd < 0 && c.id == released {
		return
	}
	l := c.loop
	c.queue.Drop()
	switch {
	case c.fd < 0:
	case c.rst:
		socket.Reset(c.fd)
	default:
		socket.Close(c.fd)
	}
	l.conns[c.id] = nil
	l.free = append(l.free, c.id)
	c.fd, c.id = -1, released
}

const released = 1<<32 - 1

// expired is the end of a dial's time, or of a linger's.
func (c *conn) expired() {
	if c.linger {
		c.die()
		return
	}
	c.dialFailed(errTimeout)
}

// opError words an error of a system call as package net does: act, addresses, cause.
func (c *conn) opError(act string, err error) error {
	return socket.OpError(act, socket.Local(c.fd), c.remote, err)
}

func (c *conn) lingerOn() {
	c.loop.wheel.Arm(&c.limit, c.loop.after(time.Now(), c.loop.driver.cfg.Linger))
}
