package uring

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// An acceptor takes the connections of one listening socket into its loop. The ring says that there are
// some, and accept4 takes them, which tells the peer's address too. An accept by the ring would have to
// ask for that, and goes by the limit of descriptors that held when it was started. All but the first
// fields are the loop's.
type acceptor struct {
	loop *loop
	ln   *listener
	fd   int

	id      uint32
	ops     int // operations that have not ended
	begun   bool
	resting bool
	closed  bool
	wait    time.Duration // the last rest
	ts      timespec      // the same, for the kernel
}

// begin runs on the loop.
func (a *acceptor) begin() {
	switch l := a.loop; {
	case a.closed:
	case l.stopped || a.ln.closed.Load():
		a.close()
	default:
		a.id, a.begun = l.place(a), true
		a.watch()
	}
}

// place finds room for a.
func (l *loop) place(a *acceptor) uint32 {
	for i, taken := range l.acceptors {
		if taken == nil {
			l.acceptors[i] = a
			return uint32(i)
		}
	}
	l.acceptors = append(l.acceptors, a)
	return uint32(len(l.acceptors) - 1)
}

// watch has an outcome come whenever connections have come, until it is told to stop.
func (a *acceptor) watch() {
	a.ops++
	s := a.loop.start(forAccept, a.id)
	s.op, s.fd, s.len, s.opFlags = opPollAdd, int32(a.fd), pollMultishot, unix.POLLIN
}

// close runs on the loop. The descriptor follows the end of the operations.
func (a *acceptor) close() {
	if a.closed {
		return
	}
	a.closed = true
	if a.ops == 0 {
		a.release()
		return
	}
	a.loop.cancel(forAccept, a.id)
	if a.resting {
		a.loop.cancel(forRest, a.id)
	}
}

// release closes the descriptor, which nothing uses any more.
func (a *acceptor) release() {
	if a.fd >= 0 {
		unix.Close(a.fd)
		a.fd = -1
	}
	if a.begun {
		a.loop.acceptors[a.id], a.begun = nil, false
	}
}

// ready says that there are connections.
func (a *acceptor) ready(r cqe) {
	if !a.resting {
		a.accept()
	}
	if r.flags&cqeFMore == 0 {
		if a.ops--; !a.closed {
			a.watch()
		} else if a.ops == 0 {
			a.release()
		}
	}
}

// rested is the end of a rest.
func (a *acceptor) rested() {
	a.resting = false
	a.accept()
	if a.ops--; a.closed && a.ops == 0 {
		a.release()
	}
}

// accept takes what there is.
func (a *acceptor) accept() {
	for !a.ln.closed.Load() {
		fd, from, errno := socket.Accept(a.fd)
		switch errno {
		case 0:
			a.wait = 0
			a.loop.serve(fd, from, &a.ln.bind)
		case unix.EAGAIN:
			return
		default:
			a.rest(errno)
			return
		}
	}
}

// rest waits before the next accept. Nearly always there are no descriptors left (EMFILE): they come back
// when connections end.
func (a *acceptor) rest(errno unix.Errno) {
	d := a.loop.driver
	a.wait = min(max(2*a.wait, 5*time.Millisecond), time.Second)
	d.stats.AcceptErrors.Add(1)
	d.cfg.Logger.Warn("accept", "listener", a.ln.addr.String(), "error", errno, "again in", a.wait)
	a.resting = true
	a.ops++
	a.ts = timespec{int64(a.wait / time.Second), int64(a.wait % time.Second)}
	s := a.loop.start(forRest, a.id)
	s.op, s.fd, s.addr, s.len = opTimeout, -1, a.ts.address(), 1
}

// arrived is serve for a connection that was accepted elsewhere, some time ago.
func (l *loop) arrived(fd int, from netip.AddrPort, b *engine.Bind) {
	if l.stopped {
		unix.Close(fd)
		return
	}
	l.serve(fd, from, b)
}

// serve begins the life of an accepted connection.
func (l *loop) serve(fd int, from netip.AddrPort, b *engine.Bind) {
	to := socket.Local(fd)
	if b.Redirected {
		if meant := socket.OriginalDst(fd); meant.IsValid() {
			to = meant
		}
	}
	c := l.add(fd, socket.Addr{IP: from})
	l.driver.stats.Accepted.Add(1)
	c.opened()
	l.enter()
	l.handler.OnAccept(c.handle, b.Tag, from, to)
	l.leave()
}
