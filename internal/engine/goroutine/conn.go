package goroutine

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// A conn is one connection. Its reader goroutine starts with the dial or the accept, and its end is the
// end of the descriptor.
type conn struct {
	loop   *loop
	handle engine.Handle

	// Set once, before the Handler can use the connection.
	socket stream
	raw    syscall.RawConn

	// Guarded by the loop's lock.
	open     bool // connected
	gone     bool // the Handler hears no more of it
	paused   bool
	eof      bool // OnEOF was called
	shut     bool // CloseWrite was called
	linger   bool // gone, but the flusher is still busy
	unread   bool // the reader has stopped while linger was set: the flusher closes the descriptor
	flushing bool // the flusher goroutine exists
	waiting  int  // bytes queued, with those the flusher is writing
	queue    loopkit.Queue
	broken   error // the write that failed
	timer    timer
	giveUp   context.CancelFunc // ends the dial

	// What the reader waits for; these are read without the lock, from within the wait.
	quiet   atomic.Bool // paused or eof: do not read
	skipped atomic.Bool // the socket had news while quiet, so the reader must be woken to read again
	failed  atomic.Bool // broken is set: stop waiting

	// The reader's own.
	in     *loopkit.Page // read, and not handed over yet
	inErr  error         // io.EOF, or why reading ended
	lost   error         // found while not reading: the connection was reset
	readFn func(fd uintptr) bool

	// Send's own, under the loop's lock.
	out     []byte
	outN    int
	outErr  error
	writeFn func(fd uintptr) bool
	flushFn func()
}

// A stream is a *net.TCPConn or a *net.UnixConn.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

func newConn(l *loop) *conn {
	c := &conn{loop: l}
	c.readFn, c.writeFn, c.flushFn = c.readable, c.write, c.flush // made once: a closure per call would allocate
	return c
}

// attach makes c an open connection on s.
func (c *conn) attach(s stream) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	c.socket, c.raw, c.open = s, raw, true
	c.loop.driver.stats.Open.Add(1)
	return nil
}

// close ends c after everything queued.
func (c *conn) close() {
	if c.open && c.flushing {
		c.linger = true
		c.loop.closing[c] = struct{}{}
		c.allowLinger()
	}
	c.end()
}

// reset ends c at once.
func (c *conn) reset() {
	if tcp, ok := c.socket.(*net.TCPConn); ok && c.open {
		tcp.SetLinger(0) // an error means that the socket is dead already
	}
	c.end()
}

// fail ends c and tells the Handler why.
func (c *conn) fail(err error) {
	c.end()
	c.loop.handler.OnClosed(c.handle, err)
}

// end makes the Handler's handle void and wakes the reader, which closes the descriptor.
func (c *conn) end() {
	c.gone = true
	c.loop.conns.Remove(c.handle)
	c.stopTimer()
	if !c.linger {
		c.queue.Drop()
	}
	if !c.open {
		c.giveUp()
		return
	}
	c.loop.driver.stats.Open.Add(-1)
	if c.linger {
		c.paused = false // what still arrives is read and thrown away: closing over it would send RST and lose the queue
		c.listenAgain()
		return
	}
	c.socket.SetDeadline(past) // wakes the flusher too
}

// listenAgain makes the reader read again, unless there is a reason left not to.
func (c *conn) listenAgain() {
	c.quiet.Store(c.paused || c.eof)
	if c.open && c.skipped.Swap(false) {
		c.socket.SetReadDeadline(past)
	}
}

// abandon ends a connection that is still sending its queue after Close.
func (c *conn) abandon() {
	delete(c.loop.closing, c)
	c.linger = false
	c.queue.Drop()
	c.socket.SetDeadline(past)
}

func (c *conn) allowLinger() {
	c.socket.SetWriteDeadline(time.Now().Add(c.loop.driver.cfg.Linger))
}

// past is a deadline that wakes whoever waits on a socket.
var past = time.Unix(1, 0)
