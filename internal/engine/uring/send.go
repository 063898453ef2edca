package uring

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// taken is how many bytes of an open connection count as the kernel's before it has said so: a page, which
// is one operation. See the package comment.
const taken = loopkit.PageSize

// worthACall is from where on a system call costs less than to copy: it takes the bytes where they are.
const worthACall = 8 << 10

// Send queues a copy of b, or of what the kernel does not take of it at once when it is large. Everything
// small that one turn of the loop sends to h goes to the kernel in one operation at the end of the turn.
func (l *loop) Send(h engine.Handle, b []byte) (waiting int) {
	c := l.get(h)
	if c == nil || c.shut || c.failed != nil || c.joint != nil {
		return 0
	}
	if len(b) >= worthACall && c.open && !c.sendOn && !c.notify && !c.again.Armed() {
		if b = c.write(b); c.failed != nil {
			return 0
		}
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
	if c == nil || c.shut || c.joint != nil {
		return
	}
	c.shut = true
	if c.open && c.queue.Len() == 0 {
		socket.CloseWrite(c.fd)
	}
}

// mostAtOnce is the most that is written without a copy: the collector has to wait for the call.
const mostAtOnce = 1 << 20

// write gives the kernel what is queued, and b behind it, and returns what it did not take of b.
func (c *conn) write(b []byte) []byte {
	l := c.loop
	queued, before := c.queue.Len(), 0
	v := c.queue.Buffers(l.vectors[: 0 : pagesAtOnce-1])
	for _, p := range v {
		before += len(p)
	}
	if before < queued { // as when b is one of many
		clear(v)
		return b
	}
	v = append(l.vectors[:len(v)], b[:min(len(b), mostAtOnce)])
	n, errno := socket.Writev(c.fd, v)
	clear(v)
	l.outN += uint64(n)
	switch {
	case errno == 0:
		c.waits = 0
	case socket.Held(errno):
		c.hold()
	default:
		c.breakOff(errno)
		return nil
	}
	if n < queued {
		c.queue.Consume(n)
		return b
	}
	c.queue.Consume(queued)
	return b[n-queued:]
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
		if !c.dead && !c.sendOn && c.failed == nil && c.queue.Len() > 0 {
			c.send()
		}
	}
	l.dirty = l.dirty[:0]
}

// send starts to send the first pages of the queue, which stay where they are meanwhile.
func (c *conn) send() {
	l := c.loop
	pages := c.queue.Buffers(l.vectors[:0])
	s := c.start(forSend)
	s.opFlags = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if len(pages) == 1 {
		s.op, s.addr, s.len = opSend, addressOf(pages[0]), uint32(len(pages[0]))
	} else {
		c.vector = l.lend(pages)
		s.op, s.addr, s.len = opSendMsg, uint64(uintptr(unsafe.Pointer(&c.vector.msg))), 1
	}
	clear(pages)
	c.sendOn, c.roomCame = true, false
}

// awaitRoom has the queue sent when the socket has room again. The kernel would wait itself, were the send
// not told not to; but when the peer has sent FIN, the poll that it does for that says "ready" at once,
// and after many vain attempts it gives the send to a thread that blocks.
func (c *conn) awaitRoom() {
	if !c.roomOn {
		s := c.start(forRoom)
		s.op, s.len, s.opFlags = opPollAdd, pollMultishot, unix.POLLOUT
		c.roomOn = true
	}
}

// room says that the socket has room, most often. On a TCP connection news comes only after a send that
// found none, so the poll stays; a unix socket tells whenever the peer has read something.
func (c *conn) room(r cqe) {
	if r.flags&cqeFMore == 0 {
		c.roomOn, c.roomLeft = false, false
	}
	switch {
	case c.dead:
	case c.sendOn:
		c.roomCame = true
	case c.queue.Len() > 0:
		if !c.again.Armed() {
			c.mark()
		}
	case c.joint != nil && c.partner.joint.Held() > 0:
		c.partner.pump()
	case c.roomOn && !c.roomLeft && !c.remote.IP.IsValid():
		c.roomLeft = true
		c.cancel(forRoom)
	}
	if r.flags&cqeFMore == 0 {
		c.ended()
	}
}

// sent is the end of a send, which may have been short.
func (c *conn) sent(r cqe) {
	c.sendOn = false
	if c.vector != nil {
		c.loop.takeBack(c.vector)
		c.vector = nil
	}
	if r.res < 0 {
		switch errno := unix.Errno(-r.res); {
		case c.dead:
		case errno == unix.EAGAIN && c.roomCame:
			c.mark()
		case errno == unix.EAGAIN:
			c.awaitRoom()
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
	if c.joint != nil {
		c.partner.pump()
	} else if c.notify {
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
