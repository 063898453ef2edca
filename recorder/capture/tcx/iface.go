package tcx

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// An iface is an interface the program can read.
type iface struct {
	name     string
	index    int
	loopback bool
	link     int32 // bytes before the IP header
}

func findIface(name string) (iface, error) {
	if name == "any" {
		return iface{}, errors.New("interface any: a BPF program stands at one interface: name them")
	}
	found, err := net.InterfaceByName(name)
	if err != nil {
		return iface{}, fmt.Errorf("interface %s: not found (ip link lists what is there)", name)
	}
	i := iface{name: name, index: found.Index, loopback: found.Flags&net.FlagLoopback != 0}
	kind, err := linkKind(name)
	if err != nil {
		return iface{}, fmt.Errorf("interface %s: %w", name, err)
	}
	switch kind {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		i.link = 14
	case unix.ARPHRD_NONE: // tun, WireGuard
		i.link = 0
	default:
		return iface{}, fmt.Errorf("interface %s: link type %d is neither Ethernet nor plain IP; capture on the interface below it, or with packets", name, kind)
	}
	return i, nil
}

// linkKind is what the interface's packets begin with, as the kernel numbers it (ARPHRD_*).
func linkKind(name string) (uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		return 0, os.NewSyscallError("ioctl SIOCGIFHWADDR", err)
	}
	return req.Uint16(), nil // the family of the hardware address
}
