package epoll

import (
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// Send writes b at once when nothing waits, and queues a copy of what the kernel does not take.
func (l *loop) Send(h engine.Handle, b []byte) (waiting int) {
	c := l.get(h)
	if c == nil || c.shut || c.broken != nil || c.joint != nil {
		return 0
	}
	if c.open && c.queue.Len() == 0 {
		n, errno := socket.Write(c.fd, b)
		l.outN += uint64(n)
		switch {
		case errno == 0:
		case socket.Held(errno):
			l.hold(c)
		default:
			l.breakOff(c, c.opError("write", errno))
			return 0
		}
		if n == len(b) {
			return 0
		}
		b = b[n:]
	}
	c.queue.Push(b)
	if c.open {
		l.askForRoom(c)
	}
	return c.queue.Len()
}

// flush writes the queue until it is empty or the kernel takes no more.
func (l *loop) flush(c *conn) {
	for c.queue.Len() > 0 {
		l.vectors = c.queue.Buffers(l.vectors[:0])
		n, errno := socket.Writev(c.fd, l.vectors)
		l.outN += uint64(n)
		switch {
		case errno == 0:
		case socket.Held(errno):
			l.hold(c)
			return
		default:
			l.breakOff(c, c.opError("write", errno))
			return
		}
		if n == 0 {
			return
		}
		c.queue.Consume(n)
		c.held = 0
		if c.gone {
			l.allowLinger(c)
		}
	}
	l.askForRoom(c)
	if c.gone {
		l.release(c)
		return
	}
	if c.shut {
		socket.CloseWrite(c.fd)
	}
	if c.joint == nil {
		l.handler.OnWritable(c.handle)
	}
}

// hold tries again after a while, longer each time.
func (l *loop) hold(c *conn) {
	c.held = max(socket.FirstHold, min(2*c.held, socket.MostHold))
	l.wheel.Arm(&c.again, l.clock()+int64(c.held))
}

// breakOff notes that nothing can be sent any more. It is reported in an event of its own.
func (l *loop) breakOff(c *conn, err error) {
	c.broken = err
	c.queue.Drop()
	l.later(c)
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
