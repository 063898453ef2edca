package goroutine

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
	"github.com/redlane/redlane/internal/engine/socket"
)

// Send writes b at once when nothing waits, and queues a copy of what the kernel does not take.
func (l *loop) Send(h engine.Handle, b []byte) (waiting int) {
	c := l.get(h)
	if c == nil || c.shut || c.broken != nil {
		return 0
	}
	if c.open && !c.flushing {
		n, err := c.writeNow(b)
		if err != nil {
			c.breakOff(c.opError("write", err))
			return 0
		}
		if b = b[n:]; len(b) == 0 {
			return 0
		}
	}
	c.queue.Push(b)
	c.waiting += len(b)
	if c.open && !c.flushing {
		c.startFlusher()
	}
	return c.waiting
}

// writeNow gives b to the kernel without waiting and returns how much it took.
func (c *conn) writeNow(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.out = b
	err := c.raw.Write(c.writeFn)
	c.out = nil
	if err == nil {
		err = c.outErr
	}
	c.loop.out.Add(uint64(c.outN))
	return c.outN, err
}

// write always reports that it is done, so that the runtime never waits.
func (c *conn) write(fd uintptr) bool {
	for {
		n, err := unix.Write(int(fd), c.out)
		if err == unix.EINTR {
			continue
		}
		c.outN = max(n, 0)
		c.outErr = err
		if err == unix.EAGAIN || err != nil && socket.Held(err) {
			c.outErr = nil
		}
		return true
	}
}

// breakOff notes that nothing can be sent any more. The reader reports it with OnClosed, after the bytes
// that the peer sent before it went away: they may be the answer that explains it.
func (c *conn) breakOff(err error) {
	c.broken = err
	c.failed.Store(true)
	c.queue.Drop()
	c.waiting = 0
	c.socket.SetReadDeadline(past)
}

func (c *conn) startFlusher() {
	c.flushing = true
	c.loop.driver.running.Add(1)
	go c.flushFn()
}

// flush is the flusher: it writes the queue, waiting without the lock, and ends when nothing is left.
func (c *conn) flush() {
	l := c.loop
	defer l.driver.running.Done()
	l.lock()
	for p := c.queue.Pop(); p != nil; p = c.queue.Pop() {
		if c.linger {
			c.allowLinger()
		}
		l.unlock()
		n, err := c.writePage(p.B[:p.N])
		l.out.Add(uint64(n))
		l.lock()
		c.waiting -= p.N
		loopkit.PutPage(p)
		if err != nil {
			c.breakOff(err)
			break
		}
	}
	c.flushing = false
	if !c.gone {
		if c.broken == nil {
			c.flushed()
		}
		l.unlock()
		return
	}
	if c.linger {
		c.abandon()
	}
	unread := c.unread
	l.unlock()
	if unread {
		c.socket.Close()
	}
}

// writePage waits until the kernel has taken all of b.
func (c *conn) writePage(b []byte) (n int, err error) {
	for hold := socket.FirstHold; ; hold = min(2*hold, socket.MostHold) {
		k, err := c.socket.Write(b[n:])
		n += k
		if !socket.Held(err) {
			return n, err
		}
		if k > 0 {
			hold = socket.FirstHold
		}
		time.Sleep(hold)
	}
}

// flushed follows the last byte of the queue.
func (c *conn) flushed() {
	if c.shut {
		c.sendFIN()
	}
	c.loop.handler.OnWritable(c.handle)
}

func (c *conn) sendFIN() {
	c.socket.CloseWrite() // an error means that the connection is dead, which the reader finds out
}
