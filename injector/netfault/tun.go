package netfault

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A tun is a network device whose packets come out of a descriptor. It lives as long as that: there is no device
// without a process that reads it.
type tun struct {
	fd   int
	link netlink.Link
}

// tunQueue is how many packets the kernel keeps for a reader that is busy.
const tunQueue = 4096

// openTUN makes a device in the namespace of the calling thread. Its packets are no longer than any link there can
// take, for they are sent on whole.
func openTUN() (*tun, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	t := &tun{fd: fd}
	if err := t.setUp(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tun) setUp() error {
	ifr, err := unix.NewIfreq("redlane%d") // the kernel counts
	if err != nil {
		return fmt.Errorf("make TUN device: %w", err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("make TUN device: %w", err)
	}
	if t.link, err = netlink.LinkByName(ifr.Name()); err != nil {
		return fmt.Errorf("find TUN device: %w", err)
	}
	mtu, err := smallestMTU(t.link.Attrs().Index)
	if err != nil {
		return err
	}
	for what, err := range map[string]error{
		"length of packets": netlink.LinkSetMTU(t.link, mtu),
		"queue":             netlink.LinkSetTxQLen(t.link, tunQueue),
		"state":             netlink.LinkSetUp(t.link),
	} {
		if err != nil {
			return fmt.Errorf("set up TUN device: %s: %w", what, err)
		}
	}
	return nil
}

// route sends what looks in the routing table of that number to the device.
func (t *tun) route(table int) error {
	for _, everywhere := range []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	} {
		err := netlink.RouteAdd(&netlink.Route{LinkIndex: t.link.Attrs().Index, Dst: everywhere, Table: table, Scope: netlink.SCOPE_LINK})
		if err != nil && (len(everywhere.IP) == net.IPv4len || !noIPv6()) {
			return fmt.Errorf("route to TUN device: %w", err)
		}
	}
	return nil
}

// noIPv6 reports whether this machine has none, or new devices get none.
func noIPv6() bool {
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	return err != nil || string(text) == "1\n"
}

func (t *tun) close() { _ = unix.Close(t.fd) }

// smallestMTU is that of the links of this namespace which are up, loopback and the device itself aside.
func smallestMTU(itself int) (int, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return 0, fmt.Errorf("list network devices: %w", err)
	}
	mtu := 1500
	for _, l := range links {
		if a := l.Attrs(); a.Index != itself && a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0 {
			mtu = min(mtu, a.MTU)
		}
	}
	return mtu, nil
}
