package socket

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// KeepAlive finds peers that vanished without a word after about a minute and a half.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}

// New makes an unconnected socket for a, with the options every connection has.
func New(a Addr) (fd int, err error) {
	fd, err = unix.Socket(a.family(), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if !a.IsUnix() {
		tune(fd)
	}
	return fd, nil
}

// tune sets what accepted connections inherit from their listening socket. A kernel that refuses one of
// these still has a working connection.
func tune(fd int) {
	for _, o := range [...][3]int{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(KeepAlive.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(KeepAlive.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, KeepAlive.Count},
	} {
		_ = unix.SetsockoptInt(fd, o[0], o[1], o[2])
	}
}

// Connect starts to connect fd, made by New for the same address. Unless open, the socket becomes writable
// when there is an outcome, and Connected tells which.
func Connect(fd int, a Addr) (open bool, err error) {
	var s Sockaddr
	if err := a.Put(&s); err != nil {
		return false, err
	}
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.Raw)), uintptr(s.Len))
	switch e {
	case 0:
		return true, nil
	case unix.EINPROGRESS, unix.EINTR:
		return false, nil
	}
	return false, os.NewSyscallError("connect", e)
}

// Connected tells how a connect ended: nil when the connection to a is open.
func Connected(fd int, a Addr) error {
	if e := Err(fd); e != 0 {
		return os.NewSyscallError("connect", e)
	}
	// A connect to a local port that nobody listens on, made from that very port by chance, connects the
	// socket with itself.
	if a.IP.Addr().IsLoopback() && a.IP.Port() != 0 && Local(fd) == a.IP {
		return os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	return nil
}

// OpError words an error as package net does: act, addresses, cause. local may be zero.
func OpError(act string, local netip.AddrPort, remote Addr, err error) error {
	e := &net.OpError{Op: act, Net: "tcp", Err: err}
	if remote.IsUnix() {
		e.Net = "unix"
	}
	if remote.IsUnix() || remote.IP.IsValid() {
		e.Addr = remote.Net()
	}
	if local.IsValid() {
		e.Source = net.TCPAddrFromAddrPort(local)
	}
	if errno, ok := err.(unix.Errno); ok { //nolint:errorlint // one that is wrapped has its words
		e.Err = os.NewSyscallError(act, errno)
	}
	return e
}
