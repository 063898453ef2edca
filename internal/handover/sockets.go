package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sockets are listening sockets by the name that both processes know them by. A name has several where they
// share an address, one for each loop.
type Sockets map[string][]*os.File

// Close closes them all here; whoever has duplicates does not notice.
func (s Sockets) Close() {
	for _, files := range s {
		closeAll(files)
	}
}

// control runs f on the descriptor of a file or a connection.
func control(c interface {
	SyscallConn() (syscall.RawConn, error)
}, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// listens complains about what is not a listening socket.
func listens(f *os.File) error {
	return control(f, func(fd int) error {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
			return errors.New("not a listening socket")
		}
		return nil
	})
}

// sameUser refuses a peer that runs as somebody else.
func sameUser(c *net.UnixConn) error {
	return control(c, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if us := os.Geteuid(); int(cred.Uid) != us {
			return fmt.Errorf("it runs as user %d, this process as user %d", cred.Uid, us)
		}
		return nil
	})
}
