package goroutine

import (
	"net"
	"os"
	"syscall"

	"github.com/redlane/redlane/internal/engine/socket"
)

// drain serves what waits in the backlogs. Accept cannot be asked whether there is anything, so the system
// call is made beside it.
func (l *listener) drain() {
	for _, s := range l.sockets {
		raw, err := s.(syscall.Conn).SyscallConn()
		if err != nil {
			continue // closed already
		}
		_ = raw.Control(func(fd uintptr) {
			for {
				conn, _, errno := socket.Accept(int(fd))
				if errno != 0 {
					return
				}
				l.arrived(conn)
			}
		})
	}
}

// arrived makes a connection of the net package out of a descriptor, and serves it.
func (l *listener) arrived(fd int) {
	f := os.NewFile(uintptr(fd), l.Addr().String())
	defer f.Close() // the connection has a duplicate
	nc, err := net.FileConn(f)
	if err != nil {
		l.driver.stats.AcceptErrors.Add(1)
		l.driver.cfg.Logger.Warn("accept", "listener", l.Addr().String(), "error", err)
		return
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(socket.KeepAlive) // an error means that it is dead already, which reading finds out
	}
	l.serve(nc)
}
