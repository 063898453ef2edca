package sockmap

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A wall is a connection nothing can be written to. A message redirected to it fails with EINVAL and is as
// if it had never been written, which is how the proxy is told to wait (engine/socket.Held). The verdict
// made for refusing, SK_DROP, will not do: the kernel keeps to it for every message that follows.
type wall struct {
	in, out net.Conn
}

// wallKey is where it is in socks; no connection is between such ends.
var wallKey [tupleSize]byte

func (a *Accelerator) buildWall() error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("build a wall: %w", err)
	}
	defer ln.Close()
	w, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		return fmt.Errorf("build a wall: %w", err)
	}
	a.wall.in = w
	if a.wall.out, err = ln.Accept(); err != nil {
		return fmt.Errorf("build a wall: %w", err)
	}
	raw, err := w.(*net.TCPConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("build a wall: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		// A connection under repair takes no bytes until it is told which queue they belong to.
		if failed = os.NewSyscallError("setsockopt TCP_REPAIR", unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)); failed == nil {
			failed = a.maps.socks.Put(wallKey, uint32(fd))
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("build a wall: %w", err)
	}
	return nil
}

func (w wall) close() {
	if w.in != nil {
		_ = w.in.Close() // nothing was written to either
	}
	if w.out != nil {
		_ = w.out.Close()
	}
}
