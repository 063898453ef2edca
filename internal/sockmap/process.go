package sockmap

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A process as the programs know it: a number means something only within its namespace.
type process struct {
	pid            int32
	pidDev, pidIno uint64 // of /proc/self/ns/pid
	netns          uint64 // a cookie, which is never used again, unlike an inode
}

func thisProcess() (p process, err error) {
	p.pid = int32(os.Getpid())
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return p, fmt.Errorf("name the PID namespace: %w", err)
	}
	p.pidDev, p.pidIno = st.Dev, st.Ino
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, fmt.Errorf("name the network namespace: %w", err)
	}
	defer unix.Close(fd)
	if p.netns, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil {
		return p, fmt.Errorf("name the network namespace: %w", err)
	}
	return p, nil
}
