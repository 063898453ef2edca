package uring

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// A listener is the sockets of one address, and an acceptor for each on the loops that share them.
type listener struct {
	driver *Driver
	bind   engine.Bind
	addr   net.Addr
	closed atomic.Bool // nothing is accepted from now on, though the loops have yet to let go

	mu struct {
		sync.Mutex
		group  *socket.Group // nil once closed
		shared bool          // other processes have these sockets too
		on     []*acceptor
	}
}

// Listen opens listening sockets. Connections wait in their backlogs until Run. A unix socket left behind
// by a process that is gone is replaced; one that somebody listens on is an error.
func (d *Driver) Listen(b engine.Bind) (engine.Listener, error) {
	g, err := socket.Listen(b, len(d.loops))
	if err != nil {
		return nil, err
	}
	ln := &listener{driver: d, bind: b, addr: g.Addr()}
	ln.mu.group, ln.mu.shared = g, len(b.Sockets) > 0
	ln.bind.Sockets = nil // the caller's
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.state == stopped {
		g.Close()
		return nil, fmt.Errorf("listen %s: the engine has stopped", b.Addr)
	}
	if err := ln.prepare(); err != nil {
		g.Close()
		return nil, fmt.Errorf("listen %s: %w", b.Addr, err)
	}
	if d.mu.state == serving {
		ln.start()
	}
	d.mu.listeners[ln] = struct{}{}
	return ln, nil
}

// prepare gives each loop a duplicate of a socket. The kernel holds on to a socket while an accept is
// under way, and only the loop that started it can end it.
func (ln *listener) prepare() error {
	loops, fds := ln.driver.loops, ln.mu.group.FDs
	for i := range max(len(loops), len(fds)) {
		fd, err := unix.FcntlInt(uintptr(fds[i%len(fds)]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			for _, a := range ln.mu.on {
				unix.Close(a.fd)
			}
			return os.NewSyscallError("fcntl", err)
		}
		ln.mu.on = append(ln.mu.on, &acceptor{loop: loops[i%len(loops)], ln: ln, fd: fd})
	}
	return nil
}

// start has the loops accept.
func (ln *listener) start() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for _, a := range ln.mu.on {
		a.loop.inbox.Put(task{own: a.begin})
	}
}

// Addr is where it listens, with the port that was picked for port 0.
func (ln *listener) Addr() net.Addr { return ln.addr }

// Sockets returns duplicates of the listening sockets.
func (ln *listener) Sockets() ([]*os.File, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.mu.group == nil {
		return nil, fmt.Errorf("hand over %s: %w", ln.addr, net.ErrClosed)
	}
	ln.mu.shared = true
	return ln.mu.group.Sockets()
}

// Close stops accepting. Connections that wait in the backlogs are served, unless the sockets were handed
// over: somebody else accepts them.
func (ln *listener) Close() error {
	ln.driver.mu.Lock()
	defer ln.driver.mu.Unlock()
	delete(ln.driver.mu.listeners, ln)
	return ln.shut(true)
}

// shut is Close under the driver's lock.
func (ln *listener) shut(drain bool) error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	g := ln.mu.group
	if g == nil {
		return nil
	}
	ln.mu.group = nil
	ln.closed.Store(true)
	if !ln.mu.shared {
		for i, fd := range g.FDs {
			if drain {
				ln.drain(fd, i)
			}
			_ = unix.Shutdown(fd, unix.SHUT_RDWR) // at once, though the loops still hold their duplicates
		}
	}
	for _, a := range ln.mu.on {
		if ln.driver.mu.state == idle || !a.loop.inbox.Put(task{own: a.close}) {
			a.release() // no loop has it, or has it any more
		}
	}
	return g.Close()
}

// drain brings what waits in the backlog of a socket to the loops, ahead of anything posted later.
func (ln *listener) drain(listening, next int) {
	for loops := ln.driver.loops; ; next++ {
		fd, from, errno := socket.Accept(listening)
		if errno != 0 {
			return
		}
		l := loops[next%len(loops)]
		if !l.inbox.Put(task{own: func() { l.arrived(fd, from, &ln.bind) }}) {
			unix.Close(fd)
		}
	}
}
