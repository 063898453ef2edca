package epoll

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
)

// acceptsPerTurn bounds how long a storm of connections keeps the loop from those it has. What is left in
// the backlog is reported again: listening sockets are watched level-triggered.
const acceptsPerTurn = 32

// An arrival is a connection that was accepted, and not yet shown to a Handler.
type arrival struct {
	acceptor *acceptor
	fd       int // 0: no arrival
	from     netip.AddrPort
}

func (a arrival) refuse() {
	if a.fd != 0 {
		socket.Reset(a.fd)
	}
}

// follow begins to watch a listening socket, or forgets one that was closed.
func (l *loop) follow(a *acceptor) {
	ln := a.listener
	ln.mu.Lock()
	defer ln.mu.Unlock()
	switch {
	case !ln.closed:
		if a.index = int32(slices.Index(l.acceptors, nil)); a.index < 0 {
			a.index = int32(len(l.acceptors))
			l.acceptors = append(l.acceptors, nil)
		}
		l.acceptors[a.index] = a
		if err := l.watch(a.fd, unix.EPOLLIN, a.index); err != nil {
			a.off = true
			l.acceptLater(a, err)
		}
		a.watched = !a.off
	case int(a.index) < len(l.acceptors) && l.acceptors[a.index] == a:
		l.acceptors[a.index] = nil
	}
}

// accept takes what waits in a's backlog, up to a share of the turn.
func (l *loop) accept(a *acceptor) {
	if a == nil { // closed since the event was fetched
		return
	}
	var batch [acceptsPerTurn]arrival
	n := 0
	var errno unix.Errno
	ln := a.listener
	ln.mu.Lock()
	for range acceptsPerTurn {
		if ln.closed {
			break
		}
		fd, from, e := socket.Accept(a.fd)
		if errno = e; e != 0 {
			break
		}
		arrived := arrival{a, fd, from}
		if to := ln.pick(a); to == l {
			batch[n] = arrived
			n++
		} else if !to.inbox.Put(post{arrival: arrived}) { // under the lock: before anything posted after Close
			arrived.refuse()
		}
	}
	failed := errno != 0 && errno != unix.EAGAIN
	if failed {
		a.off = unix.EpollCtl(l.poller, unix.EPOLL_CTL_MOD, a.fd, &unix.EpollEvent{Fd: a.index}) == nil
	}
	ln.mu.Unlock()
	for _, arrived := range batch[:n] {
		l.now = 0
		l.serve(arrived)
	}
	if failed {
		l.acceptLater(a, errno)
	} else {
		l.acceptWait = 0
	}
}

// acceptLater tries again after a while. Nearly always there are no descriptors left (EMFILE): they come
// back when connections end.
func (l *loop) acceptLater(a *acceptor, err error) {
	l.acceptWait = min(max(2*l.acceptWait, 5*time.Millisecond), time.Second)
	l.driver.stats.AcceptErrors.Add(1)
	l.driver.cfg.Logger.Warn("accept", "listener", a.listener.addr.String(), "error", err, "again in", l.acceptWait)
	l.wheel.Arm(&l.retry, l.clock()+int64(l.acceptWait))
}

// acceptAgain watches the listening sockets that were left alone.
func (l *loop) acceptAgain() {
	for _, a := range l.acceptors {
		if a == nil || !a.off {
			continue
		}
		op := unix.EPOLL_CTL_MOD
		if !a.watched {
			op = unix.EPOLL_CTL_ADD
		}
		a.listener.mu.Lock()
		if !a.listener.closed {
			err := unix.EpollCtl(l.poller, op, a.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: a.index})
			a.off, a.watched = err != nil, a.watched || err == nil
		}
		a.listener.mu.Unlock()
	}
}

// serve makes an accepted socket a connection of this loop.
func (l *loop) serve(a arrival) {
	ln := a.acceptor.listener
	c := l.newConn(a.fd)
	c.local = !a.from.IsValid()
	if c.local {
		c.there.Path = ln.addr.String()
	} else {
		c.there.IP = a.from
		if c.here = ln.to; !c.here.IsValid() {
			c.here = socket.Local(a.fd)
		}
	}
	if err := l.watchConn(c); err != nil {
		l.driver.stats.AcceptErrors.Add(1)
		l.driver.cfg.Logger.Warn("accept", "listener", ln.addr.String(), "error", err)
		l.abandon(c)
		return
	}
	c.open = true
	to := c.here
	if ln.bind.Redirected {
		if meant := socket.OriginalDst(a.fd); meant.IsValid() {
			to = meant
		}
	}
	l.driver.stats.Accepted.Add(1)
	l.driver.stats.Open.Add(1)
	l.handler.OnAccept(c.handle, ln.bind.Tag, a.from, to)
}
