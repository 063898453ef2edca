package handover

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Closing a listening socket resets every client in its backlog, for whom the connection is open and who may
// have sent a request. So a socket that nobody takes over first refuses, then is accepted from until it is
// empty, then closed.

// noSYN drops the segments that open a connection (the byte of flags of the TCP header has SYN). What else
// comes belongs to a connection that is nearly open and passes.
var noSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x02, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// Refuse lets nobody new in at a listening socket: a TCP client that tries meanwhile tries again a second
// later, and a unix socket loses its file. It is done to the socket, in every process that has it.
func Refuse(f *os.File) error {
	return control(f, func(fd int) error {
		if path, ok := unixPath(fd); ok {
			return os.Remove(path)
		}
		program := unix.SockFprog{Len: uint16(len(noSYN)), Filter: &noSYN[0]}
		return os.NewSyscallError("attach filter", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
	})
}

// Admit undoes Refuse, which cannot be done for a unix socket.
func Admit(f *os.File) error {
	return control(f, func(fd int) error {
		if _, ok := unixPath(fd); ok {
			return errors.New("the file of a unix socket is gone")
		}
		return os.NewSyscallError("detach filter", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
	})
}

// Waiting reports whether a connection waits to be accepted.
func Waiting(f *os.File) (waiting bool) {
	_ = control(f, func(fd int) error { // a socket that is closed has nobody
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		waiting = err == nil && n > 0
		return nil
	})
	return waiting
}

func unixPath(fd int) (path string, ok bool) {
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return "", false
	}
	u, ok := addr.(*unix.SockaddrUnix)
	if !ok {
		return "", false
	}
	return u.Name, true
}
