package goroutine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

type listener struct {
	sockets []net.Listener // one, or as many as were handed over
	driver  *Driver
	bind    engine.Bind
	closed  chan struct{}
	once    sync.Once
	handed  atomic.Bool    // Sockets was called
	taking  sync.WaitGroup // those that accept, and connections that OnAccept has not been told of yet
}

// Listen opens a listening socket, or goes on with those handed over. Connections wait in the backlog until
// Run. A unix socket left behind by a process that is gone is replaced; one that somebody listens on is an
// error.
func (d *Driver) Listen(b engine.Bind) (engine.Listener, error) {
	sockets, err := open(b)
	if err != nil {
		return nil, err
	}
	l := &listener{sockets: sockets, driver: d, bind: b, closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.mu.state {
	case stopped:
		_ = l.shut() // the sockets are gone whatever close says
		return nil, fmt.Errorf("listen %s: the engine has stopped", b.Addr)
	case serving:
		l.start()
	}
	d.mu.listeners[l] = struct{}{}
	return l, nil
}

// Addr is where the first of its sockets listens, and so do the others.
func (l *listener) Addr() net.Addr { return l.sockets[0].Addr() }

// Close stops accepting and returns when OnAccept has been told of all that came. Connections that wait in
// the backlog are served, unless Run has not begun or the sockets were handed over: somebody else accepts them.
func (l *listener) Close() error {
	l.driver.mu.Lock()
	delete(l.driver.mu.listeners, l)
	if l.driver.mu.state == serving && !l.handed.Load() {
		l.drain() // under the lock: Run does not end meanwhile
	}
	l.driver.mu.Unlock()
	err := l.shut()
	l.taking.Wait()
	return err
}

func (l *listener) shut() (err error) {
	l.once.Do(func() {
		close(l.closed)
		for _, s := range l.sockets {
			err = errors.Join(err, s.Close())
		}
	})
	return err
}

// start begins to accept from every socket: in a group that shares an address, the kernel gives each its
// part of the connections, whether anybody takes them or not.
func (l *listener) start() {
	for _, s := range l.sockets {
		l.taking.Add(1)
		l.driver.running.Go(func() {
			defer l.taking.Done()
			l.accept(s)
		})
	}
}

// accept hands each connection to a goroutine at once: it waits for no loop and for no dial.
func (l *listener) accept(s net.Listener) {
	d := l.driver
	for wait := time.Duration(0); ; {
		nc, err := s.Accept()
		if err == nil {
			wait = 0
			l.serve(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Nearly always no descriptors left (EMFILE): they come back when connections end.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		d.stats.AcceptErrors.Add(1)
		d.cfg.Logger.Warn("accept", "listener", l.Addr().String(), "error", err, "again in", wait)
		select {
		case <-time.After(wait):
		case <-l.closed:
			return
		}
	}
}

// serve gives a connection to a loop.
func (l *listener) serve(nc net.Conn) {
	d := l.driver
	d.stats.Accepted.Add(1)
	loop := d.loops[int(d.next.Add(1))%len(d.loops)]
	l.taking.Add(1)
	d.running.Go(func() { loop.serve(nc.(stream), l) })
}

// serve is the life of a connection accepted by ln.
func (l *loop) serve(s stream, ln *listener) {
	c := newConn(l)
	from, to := addrPort(s.RemoteAddr()), addrPort(s.LocalAddr())
	if ln.bind.Redirected {
		to = intended(s, to)
	}
	l.lock()
	if l.stopped || c.attach(s) != nil {
		l.unlock()
		ln.taking.Done()
		s.Close()
		return
	}
	c.handle = l.conns.Add(c)
	l.handler.OnAccept(c.handle, ln.bind.Tag, from, to)
	l.unlock()
	ln.taking.Done()
	c.read()
}

// intended is where the client of s wanted to go before a firewall redirected it; to, when none did.
func intended(s stream, to netip.AddrPort) netip.AddrPort {
	raw, err := s.SyscallConn()
	if err != nil {
		return to
	}
	_ = raw.Control(func(fd uintptr) {
		if dst := socket.OriginalDst(int(fd)); dst.IsValid() {
			to = dst
		}
	})
	return to
}

// addrPort is zero for a unix socket.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func open(b engine.Bind) ([]net.Listener, error) {
	if len(b.Sockets) > 0 {
		return adopt(b)
	}
	ln, err := listen(b.Addr)
	return []net.Listener{ln}, err
}

func listen(addr string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: socket.KeepAlive}
	config.SetMultipathTCP(false) // Go's default; it costs a layer in the kernel and brings a proxy nothing
	path, ok := strings.CutPrefix(addr, "unix:")
	if !ok {
		return config.Listen(context.Background(), "tcp", addr)
	}
	ln, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && socket.Abandoned(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("replace socket nobody listens on: %w", err)
		}
		return config.Listen(context.Background(), "unix", path)
	}
	return ln, err
}
