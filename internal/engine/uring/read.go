package uring

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// settle sees to what an event left to be done: what was held back is handed over, and the operations c
// lacks are started.
func (c *conn) settle() {
	switch {
	case c.dead:
		if c.ops == 0 {
			c.release()
		}
		return
	case c.joint != nil:
		c.settleJoined()
		return
	case c.orphan:
		c.fail(errPartner)
		return
	case !c.open && !c.gone && !c.pollOn: // the dial has had its outcome
		c.connected()
	case c.open && !c.gone:
		c.tell()
	}
	if c.dead || !c.open {
		return
	}
	switch wanted := c.wanted(); {
	case wanted && !c.recvOn:
		c.receive()
	case c.recvOn && !c.cancelled && (!wanted || (c.ending || c.bulk) && !c.once):
		c.cancelled = true
		c.cancel(forRecv)
	}
}

// wanted reports whether c should be read. A paused connection is, as long as nothing has come.
func (c *conn) wanted() bool {
	return !c.eof && c.inErr == nil && (c.linger || !c.gone && (!c.paused || c.held.Len() == 0))
}

// receive has the kernel pick a buffer and fill it whenever bytes arrive, until it is told to stop; only
// once when the end is near, and when bytes come in bulk: large buffers are few.
func (c *conn) receive() {
	s := c.start(forRecv)
	s.op, s.flags, s.group = opRecv, sqeBufferSelect, groupSmall
	c.recvOn, c.once, c.large, c.cancelled = true, c.ending || c.bulk, c.bulk, false
	if c.large {
		s.group = groupLarge
	}
	if !c.once {
		s.ioprio = recvMultishot
	}
}

// weigh decides whether c's bytes come in bulk, after an outcome of n bytes. One message that is long
// does not make it so, nor does one that is short end it: a change costs a receive.
func (c *conn) weigh(n int) {
	switch full := n >= c.loop.small.size; {
	case full == c.bulk:
		c.odd = 0
	case c.bulk && c.odd == bulkEnds, full && c.odd == bulkBegins:
		c.bulk, c.odd = full, 0
		if !c.once {
			c.later() // to receive otherwise
		}
	default:
		c.odd++
	}
}

// How many outcomes after the first it takes.
const (
	bulkBegins = 1
	bulkEnds   = 15
)

// received is what came, or why nothing more will.
func (c *conn) received(r cqe) {
	last := r.flags&cqeFMore == 0
	from := c.loop.small
	if c.large {
		from = c.loop.large
	}
	if last {
		c.recvOn = false
	}
	switch {
	case r.res > 0:
		c.weigh(int(r.res))
		c.data(from.get(uint16(r.flags>>16), int(r.res)))
	case r.res == 0:
		c.inErr = io.EOF
	case unix.Errno(-r.res) == unix.ENOBUFS: // there will be some when this turn is over
		c.loop.starved.Add(1)
	case unix.Errno(-r.res) == unix.ECANCELED:
	default:
		c.readFailed(unix.Errno(-r.res))
	}
	if r.flags&cqeFBuffer != 0 {
		from.put(uint16(r.flags >> 16))
	}
	if last {
		if !c.dead {
			c.later()
		}
		c.ended()
	}
}

// data hands b over, or keeps a copy for later.
func (c *conn) data(b []byte) {
	l := c.loop
	switch {
	case c.gone, c.orphan:
	case c.joint != nil:
		c.passOn(b)
	case c.paused || c.held.Len() > 0:
		c.held.Push(b)
		c.later() // to stop receiving
	default:
		l.inN += uint64(len(b))
		l.enter()
		l.handler.OnData(c.handle, b)
		l.leave()
	}
}

func (c *conn) readFailed(errno unix.Errno) {
	switch {
	case c.dead:
	case c.linger:
		c.die()
	default:
		c.inErr = c.opError("read", errno)
	}
}

// tell hands over what was held back, then how it ended.
func (c *conn) tell() {
	l := c.loop
	for !c.paused && !c.gone && c.held.Len() > 0 {
		p := c.held.Pop()
		b := p.Bytes()
		l.inN += uint64(len(b))
		l.enter()
		l.handler.OnData(c.handle, b)
		l.leave()
		loopkit.PutPage(p)
	}
	fin, ended := errors.Is(c.inErr, io.EOF), c.eof || c.inErr != nil
	switch {
	case c.gone:
	case c.failed != nil && (c.paused || ended): // after what the peer said before it went
		c.fail(c.failed)
	case c.lost != nil && (ended || c.paused && c.held.Len() == 0):
		c.fail(c.lost)
	case c.inErr == nil || c.paused && (fin || c.held.Len() > 0):
	case fin:
		c.inErr, c.eof = nil, true
		l.enter()
		l.handler.OnEOF(c.handle)
		l.leave()
	default:
		c.fail(c.inErr)
	}
}

// watch has an outcome come when the peer has ended its direction or the connection breaks, which the
// kernel adds to whatever a poll waits for. On a connection that is not read it is the only sign of a
// reset. On one that is, the receive may miss the end: where a multishot receive is told that it has read
// all there is (unix sockets of 6.18 do), it waits for news, also when the end has come before. So once the
// end is near, each receive is one that looks for itself.
func (c *conn) watch() {
	s := c.start(forPoll)
	s.op, s.len = opPollAdd, pollMultishot
	c.pollOn = true
}

// polled is the outcome of a dial, or the watch's news.
func (c *conn) polled(r cqe) {
	last := r.flags&cqeFMore == 0
	if last {
		c.pollOn = false
	}
	switch {
	case c.dead:
	case c.joint != nil: // which has news of its own
		c.ending = true
	case !c.open:
		c.later()
	case r.res > 0:
		c.ending = true // most often the receive has said so itself, before the turn is over
		c.later()
		if c.recvOn || c.gone || c.lost != nil {
			break
		}
		if errno := socket.Err(c.fd); errno != 0 { // bytes that came before can still be read after Resume
			c.lost = c.opError("read", errno)
		}
	}
	if last {
		c.ended()
	}
}
