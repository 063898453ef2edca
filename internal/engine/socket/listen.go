package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// A Group is the listening sockets of one address. A driver may accept from different ones on different
// threads; Sockets and Close are for whoever made it, one at a time.
type Group struct {
	// FDs are the sockets: as many as were asked for, of which the kernel picks one for each connection
	// (SO_REUSEPORT); or fewer, when they cannot be had: a unix socket is always one.
	FDs []int

	addr   net.Addr
	unlink string // the file of a unix socket made here, removed by Close
}

// Listen opens what b says, with n sockets where that is possible. A unix socket left behind by a process
// that is gone is replaced; one that somebody listens on is an error.
func Listen(b engine.Bind, n int) (*Group, error) {
	a, err := Parse(b.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	g := &Group{}
	if len(b.Sockets) > 0 {
		err = g.adopt(b.Sockets)
	} else {
		err = g.open(a)
	}
	if err == nil {
		err = g.locate(a)
	}
	if err != nil {
		g.closeAll()
		return nil, &net.OpError{Op: "listen", Net: a.Net().Network(), Addr: a.Net(), Err: err}
	}
	if !a.IsUnix() {
		g.grow(n)
	}
	return g, nil
}

// open makes the first socket. It does not share its port: an address that somebody listens on is an error.
func (g *Group) open(a Addr) error {
	fd, err := bound(a, false)
	if errors.Is(err, unix.EADDRINUSE) && a.IsUnix() && Abandoned(a.Path) {
		if err := os.Remove(a.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace socket nobody listens on: %w", err)
		}
		fd, err = bound(a, false)
	}
	if err != nil {
		return err
	}
	g.FDs = append(g.FDs, fd)
	if a.IsUnix() && a.Path[0] != '@' {
		g.unlink = a.Path
	}
	return nil
}

// grow opens more sockets of the same address. The first is asked to share only now that it listens: it
// would otherwise have shared with a stranger. When the kernel refuses, there are fewer.
func (g *Group) grow(n int) {
	a := Addr{IP: Local(g.FDs[0])}
	if len(g.FDs) < n {
		for _, fd := range g.FDs {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) != nil {
				return
			}
		}
	}
	for len(g.FDs) < n {
		fd, err := bound(a, true)
		if err != nil {
			return
		}
		g.FDs = append(g.FDs, fd)
	}
}

// adopt takes duplicates of sockets that another process handed over. The file of a unix socket is not
// theirs to remove: should this process give up before it serves, the other goes on with it.
func (g *Group) adopt(files []*os.File) error {
	for _, f := range files {
		conn, err := f.SyscallConn()
		if err != nil {
			return fmt.Errorf("adopt %s: %w", f.Name(), err)
		}
		var bad error
		if err := conn.Control(func(raw uintptr) { bad = g.duplicate(int(raw)) }); err != nil {
			bad = err
		}
		if bad != nil {
			return fmt.Errorf("adopt %s: %w", f.Name(), bad)
		}
	}
	return nil
}

func (g *Group) duplicate(raw int) error {
	if listens, err := unix.GetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return errors.New("not a listening socket")
	}
	fd, err := unix.FcntlInt(uintptr(raw), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	g.FDs = append(g.FDs, fd)
	tune(fd)
	return unix.SetNonblock(fd, true) // also for whoever else uses it
}

// locate finds out where the sockets listen, which must be where they were asked to.
func (g *Group) locate(want Addr) error {
	for _, fd := range g.FDs {
		name, err := unix.Getsockname(fd)
		if err != nil {
			return os.NewSyscallError("getsockname", err)
		}
		if u, ok := name.(*unix.SockaddrUnix); ok {
			if u.Name != want.Path {
				return fmt.Errorf("the socket is that of %s", u.Name)
			}
			g.addr = want.Net()
			continue
		}
		at := Local(fd)
		if !at.IsValid() || at.Addr().WithZone("") != want.IP.Addr().WithZone("") || want.IP.Port() != 0 && at.Port() != want.IP.Port() {
			return fmt.Errorf("the socket is that of %s", at)
		}
		g.addr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(want.IP.Addr(), at.Port()))
	}
	return nil
}

// Addr is where the group listens, with the port that was picked for port 0.
func (g *Group) Addr() net.Addr { return g.addr }

// Sockets returns duplicates, which the caller closes. From then on Close leaves the file of a unix socket
// where it is.
func (g *Group) Sockets() ([]*os.File, error) {
	var files []*os.File
	for _, fd := range g.FDs {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("hand over %s: %w", g.addr, os.NewSyscallError("fcntl", err))
		}
		files = append(files, os.NewFile(uintptr(dup), g.addr.Network()+":"+g.addr.String()))
	}
	g.unlink = ""
	return files, nil
}

// Close closes the sockets and removes the file of a unix socket, unless it was handed over. The kernel
// refuses what waits in the backlogs.
func (g *Group) Close() error {
	g.closeAll()
	if g.unlink == "" {
		return nil
	}
	if err := os.Remove(g.unlink); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove socket: %w", err)
	}
	return nil
}

func (g *Group) closeAll() {
	for _, fd := range g.FDs {
		Close(fd)
	}
	g.FDs = nil
}

// bound makes a listening socket of a.
func bound(a Addr, share bool) (fd int, err error) {
	var s Sockaddr
	if err := a.Put(&s); err != nil {
		return -1, err
	}
	fd, err = unix.Socket(a.family(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func(made int) {
		if err != nil {
			Close(made)
		}
	}(fd)
	if !a.IsUnix() {
		tune(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
		if share {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				return -1, os.NewSyscallError("setsockopt", err)
			}
		}
	}
	if a.family() == unix.AF_INET6 { // [::] takes IPv4 too, whatever the machine's default
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if e := bind(fd, &s); e != 0 {
		return -1, os.NewSyscallError("bind", e)
	}
	if err := unix.Listen(fd, backlog()); err != nil {
		return -1, os.NewSyscallError("listen", err)
	}
	return fd, nil
}

// backlog is the most the kernel allows, which is also what package net asks for.
func backlog() int {
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	n, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || bad != nil || n <= 0 {
		return unix.SOMAXCONN
	}
	return n
}

// Abandoned reports whether path is a socket that nobody listens on.
func Abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}
