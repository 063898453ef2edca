package goroutine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// adopt makes listeners of sockets that another process handed over. The file of a unix socket is not
// theirs to remove: should this process give up before it serves, the other goes on with it.
func adopt(b engine.Bind) (all []net.Listener, err error) {
	for _, f := range b.Sockets {
		ln, err := net.FileListener(f)
		if err != nil {
			for _, ln := range all {
				ln.Close()
			}
			return nil, fmt.Errorf("take over %s: %w", b.Addr, err)
		}
		if tcp, ok := ln.(*net.TCPListener); ok {
			ln = alive{tcp}
		}
		all = append(all, ln)
	}
	return all, nil
}

// alive is a listener that was not made here, and so does not know how long silent peers are believed in.
type alive struct{ *net.TCPListener }

func (l alive) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = c.SetKeepAliveConfig(socket.KeepAlive) // an error means that it is dead already, which reading finds out
	return c, nil
}

// Sockets returns duplicates of the listening sockets.
func (l *listener) Sockets() (all []*os.File, err error) {
	l.handed.Store(true)
	for _, s := range l.sockets {
		if u, ok := s.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		f, err := duplicate(s)
		if err != nil {
			for _, f := range all {
				f.Close()
			}
			return nil, fmt.Errorf("hand over %s: %w", l.Addr(), err)
		}
		all = append(all, f)
	}
	return all, nil
}

// duplicate is File without its trap: the Fd method of net's files makes the socket block, for everyone who
// shares it, and an accept that blocks is not ended by closing.
func duplicate(ln net.Listener) (*os.File, error) {
	s, ok := ln.(syscall.Conn)
	if !ok {
		return nil, errors.New("not a socket")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(own uintptr) { fd, dupErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, os.NewSyscallError("fcntl", dupErr)
	}
	return os.NewFile(uintptr(fd), ln.Addr().String()), nil
}
