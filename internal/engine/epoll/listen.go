package epoll

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// A listener is one address, with a socket for each loop where that is possible: connections then stay on
// the loop whose socket the kernel picked. The loops of a unix socket get theirs from the one that accepts.
type listener struct {
	driver *Driver
	bind   engine.Bind
	addr   net.Addr
	to     netip.AddrPort // what connections come out at; zero when each has to be asked

	// mu is held while sockets are accepted from, duplicated or closed, and never while the Handler runs.
	mu        sync.Mutex
	group     *socket.Group
	acceptors []*acceptor
	handed    bool // somebody has duplicates of the sockets
	closed    bool
}

// An acceptor is one listening socket, and the loop that accepts from it.
type acceptor struct {
	listener *listener
	loop     *loop
	fd       int
	index    int32 // in the loop's acceptors
	off      bool  // not watched until the loop tries again; the loop's own

	watched bool // guarded by listener.mu
}

// Listen opens listening sockets. Connections wait in their backlogs until Run. A unix socket left behind by
// a process that is gone is replaced; one that somebody listens on is an error.
func (d *Driver) Listen(b engine.Bind) (engine.Listener, error) {
	group, err := socket.Listen(b, len(d.loops))
	if err != nil {
		return nil, err
	}
	ln := &listener{driver: d, bind: b, group: group, addr: group.Addr()}
	ln.bind.Sockets = nil // the caller's
	if tcp, ok := ln.addr.(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		ln.to = tcp.AddrPort()
	}
	for i, fd := range group.FDs {
		ln.acceptors = append(ln.acceptors, &acceptor{listener: ln, loop: d.loops[i%len(d.loops)], fd: fd})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.state == stopped {
		group.Close()
		return nil, fmt.Errorf("listen %s: the engine has stopped", b.Addr)
	}
	d.mu.listeners[ln] = struct{}{}
	for _, a := range ln.acceptors {
		a.loop.inbox.Put(post{acceptor: a})
	}
	return ln, nil
}

// Addr is where it listens.
func (ln *listener) Addr() net.Addr { return ln.addr }

// Sockets returns duplicates of the listening sockets.
func (ln *listener) Sockets() ([]*os.File, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return nil, fmt.Errorf("hand over %s: %w", ln.addr, net.ErrClosed)
	}
	files, err := ln.group.Sockets()
	ln.handed = ln.handed || err == nil
	return files, err
}

// Close stops accepting. Connections that wait in the backlogs are served, unless the sockets were handed
// over: somebody else accepts them. OnAccept is told of all before anything that is posted from then on.
func (ln *listener) Close() error {
	ln.driver.mu.Lock()
	delete(ln.driver.mu.listeners, ln)
	ln.driver.mu.Unlock()
	waiting, err := ln.shut(true)
	for _, a := range waiting {
		if !ln.pick(a.acceptor).inbox.Put(post{arrival: a}) {
			a.refuse()
		}
	}
	return err
}

// shut closes the sockets and returns the connections that waited in their backlogs, if they are wanted.
func (ln *listener) shut(drain bool) (waiting []arrival, err error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return nil, nil
	}
	ln.closed = true
	for _, a := range ln.acceptors {
		for drain && !ln.handed {
			fd, from, errno := socket.Accept(a.fd)
			if errno != 0 {
				break
			}
			waiting = append(waiting, arrival{a, fd, from})
		}
		if a.watched { // a duplicate of the socket would keep it watched
			_ = unix.EpollCtl(a.loop.poller, unix.EPOLL_CTL_DEL, a.fd, nil)
		}
		a.loop.inbox.Put(post{acceptor: a})
	}
	return waiting, ln.group.Close()
}

// pick chooses the loop for a connection of a.
func (ln *listener) pick(a *acceptor) *loop {
	loops := ln.driver.loops
	if len(ln.acceptors) >= len(loops) {
		return a.loop
	}
	return loops[int(ln.driver.next.Add(1))%len(loops)]
}
