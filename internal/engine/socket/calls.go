package socket

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file do not tell Go's scheduler that they are being made, which saves about 60 ns each
// and keeps the thread on its processor. They may only be used where the kernel cannot wait: every socket
// here is non-blocking.

// Read is read(2) into b, which must not be empty. n is 0 at the end of the stream.
func Read(fd int, b []byte) (n int, err unix.Errno) {
	for {
		r, _, e := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch e {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// atOnce is the most that one call gives to the kernel. Copying it takes some 100 us, and the collector has
// to wait for a thread that is in a system call of this kind.
const atOnce = 1 << 20

// Write is write(2). What the kernel does not take is no error: n says how much it took.
func Write(fd int, b []byte) (n int, err unix.Errno) {
	for n < len(b) {
		part := b[n:min(len(b), n+atOnce)]
		r, _, e := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&part[0])), uintptr(len(part)))
		switch e {
		case 0:
			n += int(r)
			if int(r) < len(part) {
				return n, 0
			}
		case unix.EINTR:
		case unix.EAGAIN:
			return n, 0
		default:
			return n, e
		}
	}
	return n, 0
}

// Writev is writev(2) of at most 16 of bs, none of them empty.
func Writev(fd int, bs [][]byte) (n int, err unix.Errno) {
	var vec [16]unix.Iovec
	used := 0
	for _, b := range bs[:min(len(bs), len(vec))] {
		vec[used].Base = &b[0]
		vec[used].SetLen(len(b))
		used++
	}
	for {
		r, _, e := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(used))
		switch e {
		case 0:
			return int(r), 0
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, 0
		default:
			return 0, e
		}
	}
}

// Peek reports, without taking anything, whether there are bytes, the end (n is 0) or an error to read.
func Peek(fd int) (n int, err unix.Errno) {
	var b [1]byte
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// Accept takes one connection out of a listening socket's backlog. from is where a TCP connection comes
// from. It gets its options from the listening socket, without further calls.
func Accept(fd int) (conn int, from netip.AddrPort, err unix.Errno) {
	var s Sockaddr
	for {
		s.Len = unix.SizeofSockaddrAny
		r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.Raw)), uintptr(unsafe.Pointer(&s.Len)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			return int(r), s.AddrPort(), 0
		case unix.EINTR, unix.ECONNABORTED: // gone before we came
		default:
			return -1, netip.AddrPort{}, e
		}
	}
}

// Local is the address of this end; zero for a unix socket.
func Local(fd int) netip.AddrPort { return name(unix.SYS_GETSOCKNAME, fd) }

// Remote is the address of the other end; zero for a unix socket, and once the connection has broken.
func Remote(fd int) netip.AddrPort { return name(unix.SYS_GETPEERNAME, fd) }

func name(call uintptr, fd int) netip.AddrPort {
	s := Sockaddr{Len: unix.SizeofSockaddrAny}
	if _, _, e := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&s.Raw)), uintptr(unsafe.Pointer(&s.Len))); e != 0 {
		return netip.AddrPort{}
	}
	return s.AddrPort()
}

// OriginalDst is where a connection was meant to go before a firewall redirected it here (SO_ORIGINAL_DST);
// zero when none did.
func OriginalDst(fd int) netip.AddrPort {
	for _, level := range [...]uintptr{unix.SOL_IP, unix.SOL_IPV6} { // an IPv4 connection of an IPv6 socket answers to the first
		s := Sockaddr{Len: unix.SizeofSockaddrAny}
		_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), level, unix.SO_ORIGINAL_DST,
			uintptr(unsafe.Pointer(&s.Raw)), uintptr(unsafe.Pointer(&s.Len)), 0)
		if e == 0 {
			return s.AddrPort()
		}
	}
	return netip.AddrPort{}
}

// Err takes the error that is pending on a socket (SO_ERROR); 0 when there is none.
func Err(fd int) unix.Errno {
	var code int32
	size := uint32(unsafe.Sizeof(code))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&code)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return unix.Errno(code)
}

// CloseWrite sends FIN. An error means that the connection is dead, which reading finds out.
func CloseWrite(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// Close closes a descriptor.
func Close(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// Reset closes with RST. A unix socket has none: its peer sees the end of the stream.
func Reset(fd int) {
	now := unix.Linger{Onoff: 1}
	_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&now)), unsafe.Sizeof(now), 0)
	Close(fd)
}

func bind(fd int, s *Sockaddr) unix.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&s.Raw)), uintptr(s.Len))
	return e
}
