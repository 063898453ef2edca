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
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

type listener struct {
	net.Listener
	driver *Driver
	tag    int
	closed chan struct{}
	once   sync.Once
}

// Listen opens a listening socket. Connections wait in its backlog until Run. A unix socket left behind by
// a process that is gone is replaced; one that somebody listens on is an error.
func (d *Driver) Listen(b engine.Bind) (engine.Listener, error) {
	ln, err := listen(b.Addr)
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: ln, driver: d, tag: b.Tag, closed: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.mu.state {
	case stopped:
		ln.Close()
		return nil, fmt.Errorf("listen %s: the engine has stopped", b.Addr)
	case serving:
		d.running.Go(l.accept)
	}
	d.mu.listeners[l] = struct{}{}
	return l, nil
}

// Sockets returns a duplicate of the listening socket.
func (l *listener) Sockets() ([]*os.File, error) {
	ln, ok := l.Listener.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("hand over %s: not a socket", l.Addr())
	}
	if u, ok := l.Listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := ln.File()
	return []*os.File{f}, err
}

// Close stops accepting. Connections that wait in the backlog are refused by the kernel.
func (l *listener) Close() error {
	l.driver.mu.Lock()
	delete(l.driver.mu.listeners, l)
	l.driver.mu.Unlock()
	return l.shut()
}

func (l *listener) shut() (err error) {
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}

// accept hands each connection to a goroutine at once: it waits for no loop and for no dial.
func (l *listener) accept() {
	d := l.driver
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			wait = 0
			d.stats.accepted.Add(1)
			loop := d.loops[int(d.next.Add(1))%len(d.loops)]
			d.running.Go(func() { loop.serve(nc.(socket), l.tag) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Nearly always no descriptors left (EMFILE): they come back when connections end.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		d.stats.acceptErrors.Add(1)
		d.cfg.Logger.Warn("accept", "listener", l.Addr().String(), "error", err, "again in", wait)
		select {
		case <-time.After(wait):
		case <-l.closed:
			return
		}
	}
}

// serve is the life of an accepted connection.
func (l *loop) serve(s socket, tag int) {
	c := newConn(l)
	from, to := addrPort(s.RemoteAddr()), addrPort(s.LocalAddr())
	l.lock()
	if l.stopped || c.attach(s) != nil {
		l.unlock()
		s.Close()
		return
	}
	l.add(c)
	l.handler.OnAccept(c.handle, tag, from, to)
	l.unlock()
	c.read()
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

func listen(addr string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	config.SetMultipathTCP(false) // Go's default; it costs a layer in the kernel and brings a proxy nothing
	path, ok := strings.CutPrefix(addr, "unix:")
	if !ok {
		return config.Listen(context.Background(), "tcp", addr)
	}
	ln, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("replace socket nobody listens on: %w", err)
		}
		return config.Listen(context.Background(), "unix", path)
	}
	return ln, err
}

// abandoned reports whether path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
