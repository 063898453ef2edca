package uring

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// Joined connections are not received by the ring: it says when there is news, and plain system calls move
// the bytes through a pipe. A receive by the ring would have to copy them.
//
//	open ─► Join ─► the receive ends ─► news, room ─► pump ─► part
//	                what it brings is queued

var _ engine.Joiner = (*loop)(nil)

var errPartner = errors.New("the connection it was joined with was closed")

const joinBuffer = 64 << 10 // of a loop that joins

// Join makes each of the two connections the source of the other.
func (l *loop) Join(a, b engine.Handle) bool {
	x, y := l.get(a), l.get(b)
	if x == nil || y == nil || x == y || !x.joinable(y) || !y.joinable(x) {
		return false
	}
	if l.mover.Buf == nil {
		l.mover = loopkit.Mover{Buf: make([]byte, joinBuffer), In: &l.inN, Out: &l.outN}
	}
	x.partner, y.partner = y, x
	for _, c := range [...]*conn{x, y} {
		c.joint = &loopkit.End{FD: c.fd, Queue: &c.queue, EOF: c.eof, Shut: c.shut}
		c.paused, c.notify, c.moved = false, false, 0
		c.later()
	}
	loopkit.Pair(x.joint, y.joint)
	for _, c := range [...]*conn{x, y} {
		for p := c.held.Pop(); p != nil; p = c.held.Pop() {
			c.passOn(p.Bytes())
			loopkit.PutPage(p)
		}
	}
	return true
}

// joinable reports whether c can be the source of to, or has nothing more to say.
func (c *conn) joinable(to *conn) bool {
	sound := c.open && c.failed == nil && c.lost == nil && (c.inErr == nil || errors.Is(c.inErr, io.EOF))
	return sound && c.joint == nil && !c.orphan && (c.eof || !to.shut)
}

// Moved is how many bytes of h were passed on.
func (l *loop) Moved(h engine.Handle) uint64 {
	c := l.get(h)
	switch {
	case c != nil && c.joint != nil:
		return c.joint.Moved
	case c != nil:
		return c.moved
	case h == l.closing:
		return l.closingMoved
	}
	return 0
}

// settleJoined ends the receive of c, then has the ring tell of news.
func (c *conn) settleJoined() {
	switch {
	case c.recvOn && !c.cancelled:
		c.cancelled = true
		c.cancel(forRecv)
		return
	case c.recvOn:
		return
	case errors.Is(c.inErr, io.EOF):
		c.joint.EOF, c.inErr = true, nil
	case !c.newsOn && !c.joint.EOF:
		s := c.start(forNews)
		s.op, s.len, s.opFlags = opPollAdd, pollMultishot, unix.POLLIN|unix.POLLPRI|unix.POLLRDHUP
		c.newsOn = true
	}
	c.pump()
}

// passOn queues what the receive brought before it ended.
func (c *conn) passOn(b []byte) {
	c.loop.inN += uint64(len(b))
	c.joint.Moved += uint64(len(b))
	c.partner.queue.Push(b)
	c.partner.hasQueue()
}

// hasQueue has the queue sent, unless it is being sent or waits for something.
func (c *conn) hasQueue() {
	if !c.sendOn && !c.again.Armed() {
		c.mark()
	}
}

// news of a joined connection.
func (c *conn) news(r cqe) {
	last := r.flags&cqeFMore == 0
	if last {
		c.newsOn = false
	}
	if j := c.joint; j != nil && r.res > 0 {
		events := uint32(r.res)
		j.News = true
		j.Fin = j.Fin || events&unix.POLLRDHUP != 0
		j.Odd = j.Odd || events&(unix.POLLERR|unix.POLLPRI) != 0
		if c.pump(); c.joint != nil {
			if errno := j.Lost(); errno != 0 { // though nobody can read it, because the peer takes nothing
				c.part(c.opError("read", errno))
			}
		}
	}
	if last {
		if c.joint != nil {
			c.later()
		}
		c.ended()
	}
}

// pump moves what c has to its partner.
func (c *conn) pump() {
	to := c.partner
	switch {
	case c.recvOn: // what it brings comes first
		return
	case c.failed != nil:
		c.part(c.failed)
		return
	case to.failed != nil:
		to.part(to.failed)
		return
	case c.inErr != nil:
		c.part(c.inErr)
		return
	}
	waits := to.queue.Len() > 0
	r := c.loop.mover.Move(c.joint)
	switch {
	case r.At == c.joint:
		c.part(c.opError(r.Act, r.Errno))
		return
	case r.At != nil:
		to.part(to.opError(r.Act, r.Errno))
		return
	case r.Over:
		c.part(io.EOF)
		return
	}
	switch {
	case waits:
	case to.queue.Len() > 0:
		to.hasQueue()
	case c.joint.Held() > 0:
		to.awaitRoom()
	}
	if r.Again && !c.pumping {
		c.pumping = true
		c.loop.pumps = append(c.loop.pumps, c)
	}
}

// runPumps moves for those that had their share in the turn before.
func (l *loop) runPumps() {
	turn := l.pumps
	l.pumps = l.sparePumps[:0]
	for i, c := range turn {
		turn[i] = nil
		c.pumping = false
		if c.joint != nil {
			c.pump()
		}
	}
	l.sparePumps = turn
}

// part ends both connections of a pair: in order, or with RST for both.
func (c *conn) part(err error) {
	other := c.partner
	c.fail(err)
	if !other.gone { // else the Handler has ended it meanwhile
		other.fail(err)
	}
}

// sever ends the pair of c and another, which is an orphan from now on. With keep, what was on the way to
// them is queued.
func (c *conn) sever(keep bool) {
	other := c.partner
	c.loop.mover.Part(c.joint, keep)
	for _, c := range [...]*conn{c, other} {
		c.moved, c.eof, c.shut = c.joint.Moved, c.joint.EOF, c.joint.Shut
		c.joint, c.partner = nil, nil
		if keep && c.queue.Len() > 0 {
			c.hasQueue()
		}
	}
	other.orphan = true
	other.later()
}
