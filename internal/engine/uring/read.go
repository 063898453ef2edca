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
	case c.recvOn && !c.cancelled && (!wanted || c.ending && !c.once):
		c.cancelled = true
		c.cancel(forRecv)
	}
}

// wanted reports whether c should be read. A paused connection is, as long as nothing has come.
func (c *conn) wanted() bool {
	return !c.eof && c.inErr == nil && (c.linger || !c.gone && (!c.paused || c.held.Len() == 0))
}

// receive has the kernel pick a buffer and fill it whenever bytes arrive, until it is told to stop; only
// once when the end is near.
func (c *conn) receive() {
	s := c.start(forRecv)
	s.op, s.flags, s.group = opRecv, sqeBufferSelect, bufferGroup
	if !c.ending {
		s.ioprio = recvMultishot
	}
	c.recvOn, c.once, c.cancelled = true, c.ending, false
}

// received is what came, or why nothing more will.
func (c *conn) received(r cqe) {
	last := r.flags&cqeFMore == 0
	if last {
		c.recvOn = false
	}
	switch {
	case r.res > 0:
		c.data(c.loop.buffers.get(uint16(r.flags>>16), int(r.res)))
	case r.res == 0:
		c.inErr = io.EOF
	case unix.Errno(-r.res) == unix.ENOBUFS: // there will be some when this turn is over
		c.loop.starved.Add(1)
	case unix.Errno(-r.res) == unix.ECANCELED:
	default:
		c.readFailed(unix.Errno(-r.res))
	}
	if r.flags&cqeFBuffer != 0 {
		c.loop.buffers.put(uint16(r.flags >> 16))
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
	case c.gone:
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
