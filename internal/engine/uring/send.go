package uring

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// taken is how many bytes of an open connection count as the kernel's before it has said so: a page, which
// is one operation. See the package comment.
const taken = loopkit.PageSize

// Send queues a copy of b. Everything that one turn of the loop sends to h goes to the kernel in one
// operation at the end of the turn.
func (l *loop) Send(h engine.Handle, b []byte) (waiting int) {
	c := l.get(h)
	if c == nil || c.shut || c.failed != nil {
		return 0
	}
	c.queue.Push(b)
	if c.open && !c.sendOn && len(b) > 0 && !c.again.Armed() {
		c.mark()
	}
	if n := c.queue.Len(); n > taken || (n > 0 && (c.notify || !c.open)) {
		c.notify = true
		return n
	}
	return 0
}

// CloseWrite sends FIN after everything queued.
func (l *loop) CloseWrite(h engine.Handle) {
	c := l.get(h)
	if c == nil || c.shut {
		return
	}
	c.shut = true
	if c.open && c.queue.Len() == 0 {
		socket.CloseWrite(c.fd)
	}
}

// mark has the queue sent at the end of the turn.
func (c *conn) mark() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// flush starts to send what was marked.
func (l *loop) flush() {
	for i, c := range l.dirty {
		l.dirty[i] = nil
		c.dirty = false
		if !c.dead && !c.sendOn && c.failed == nil {
			c.send()
		}
	}
	l.dirty = l.dirty[:0]
}

// send starts to send the first page of the queue, which stays where it is meanwhile.
func (c *conn) send() {
	for _, b := range c.queue.Buffers(c.loop.one[:0]) {
		s := c.start(forSend)
		s.op, s.addr, s.len, s.opFlags = opSend, addressOf(b), uint32(len(b)), unix.MSG_NOSIGNAL
		c.sendOn = true
	}
}

// sent is the end of a send, which may have been short.
func (c *conn) sent(r cqe) {
	c.sendOn = false
	if r.res < 0 {
		switch errno := unix.Errno(-r.res); {
		case c.dead:
		case socket.Held(errno):
			c.hold()
		default:
			c.breakOff(errno)
		}
		c.ended()
		return
	}
	c.waits = 0
	c.loop.outN += uint64(r.res)
	c.queue.Consume(int(r.res))
	switch {
	case c.dead:
	case c.queue.Len() > 0:
		if c.linger {
			c.lingerOn()
		}
		c.mark()
	case c.linger:
		c.die()
	default:
		c.flushed()
	}
	c.ended()
}

// hold tries again after a while, longer each time.
func (c *conn) hold() {
	c.waits = max(socket.FirstHold, min(2*c.waits, socket.MostHold))
	c.loop.wheel.Arm(&c.again, c.loop.after(time.Now(), c.waits))
}

// flushed follows the last byte of the queue.
func (c *conn) flushed() {
	if c.shut {
		socket.CloseWrite(c.fd)
	}
	if c.notify {
		c.notify = false
		c.loop.enter()
		c.loop.handler.OnWritable(c.handle)
		c.loop.leave()
	}
}

// breakOff notes that nothing can be sent any more. It is told with OnClosed after the bytes that the peer
// sent before it went away: they may be the answer that explains it.
func (c *conn) breakOff(errno unix.Errno) {
	if c.linger {
		c.die()
		return
	}
	c.failed = c.opError("write", errno)
	c.queue.Drop()
	c.notify = false
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // reading ends, after what is there
	c.later()
}
