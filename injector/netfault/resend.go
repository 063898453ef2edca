package netfault

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A resender sends whole IP packets on their way, as if nothing had been.
type resender struct{ v4, v6 int }

// newResender opens the sockets in the namespace of the calling thread. mark is what the packets get.
func newResender(mark uint32) (*resender, error) {
	r := &resender{-1, -1}
	var err error
	if r.v4, err = rawSocket(unix.AF_INET, unix.IPPROTO_IP, unix.IP_HDRINCL, mark); err != nil {
		return nil, err
	}
	r.v6, err = rawSocket(unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_HDRINCL, mark)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		r.close()
		return nil, err
	}
	return r, nil
}

func rawSocket(family, level, whole int, mark uint32) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("open raw socket: %w", err)
	}
	for _, set := range []struct{ level, option, value int }{
		{level, whole, 1},
		{unix.SOL_SOCKET, unix.SO_MARK, int(mark)},
		{unix.SOL_SOCKET, unix.SO_PRIORITY, int(passed)},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8 << 20},
	} {
		if err := unix.SetsockoptInt(fd, set.level, set.option, set.value); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("set up raw socket: %w", err)
		}
	}
	return fd, nil
}

// foreign reports whether a packet is none that was led here: a new device says hello to its neighbours by itself.
func foreign(p []byte) bool {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return p[16] >= 224
	case len(p) >= 40 && p[0]>>4 == 6:
		return p[24] == 0xff || p[24] == 0xfe && p[25]&0xc0 == 0x80
	}
	return true
}

// send sends a packet that is not foreign.
func (r *resender) send(p []byte) error {
	if p[0]>>4 == 4 {
		to := unix.SockaddrInet4{Addr: [4]byte(p[16:20])}
		return unix.Sendto(r.v4, p, 0, &to)
	}
	to := unix.SockaddrInet6{Addr: [16]byte(p[24:40])}
	return unix.Sendto(r.v6, p, 0, &to)
}

func (r *resender) close() {
	for _, fd := range []int{r.v4, r.v6} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
