package testkit

import (
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Namespace is a network of its own, with loopback up. It lives in one thread, and with what is started
// from it: when that has ended, also by a crash, the kernel takes down its interfaces and rules.
type Namespace struct {
	t    testing.TB
	do   chan func()
	gone chan struct{}
	fd   netns.NsHandle
}

// NewNamespace makes one that ends with the test. The test is skipped where that takes more rights.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n := &Namespace{t: t, do: make(chan func()), gone: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(n.gone)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		made <- n.enter()
		for f := range n.do {
			f()
		}
	}()
	if err := <-made; err != nil {
		close(n.do)
		<-n.gone
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() {
		close(n.do)
		<-n.gone
		_ = n.fd.Close() // a descriptor of a read-only file
	})
	return n
}

func (n *Namespace) enter() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if n.fd, err = netns.Get(); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Do runs f in the namespace and waits for it: sockets that f itself opens, and programs it starts, are in
// there. A failed assertion in f fails the test.
func (n *Namespace) Do(f func()) {
	n.t.Helper()
	done, whole := make(chan struct{}), false
	task := func() {
		defer close(done)
		f()
		whole = true
	}
	select {
	case n.do <- task:
		<-done
	case <-n.gone:
	}
	if !whole {
		n.t.FailNow()
	}
}

// Dial connects from within the namespace. addr has a literal IP.
func (n *Namespace) Dial(addr string) (c net.Conn, err error) {
	n.t.Helper()
	n.Do(func() { c, err = net.Dial("tcp", addr) })
	return c, err
}

// Listen listens within the namespace until the test ends.
func (n *Namespace) Listen(addr string) net.Listener {
	n.t.Helper()
	var ln net.Listener
	var err error
	n.Do(func() { ln, err = net.Listen("tcp", addr) })
	if err != nil {
		n.t.Fatalf("listen in a namespace: %v", err)
	}
	n.t.Cleanup(func() { ln.Close() })
	return ln
}

// Join lays a cable between two namespaces. The ends get the addresses given, as address/bits; each is
// the other's way to everywhere else.
func Join(t testing.TB, a, b *Namespace, addrsA, addrsB []string) {
	t.Helper()
	a.Do(func() {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cable"}, PeerName: "cable", PeerNamespace: netlink.NsFd(b.fd)}
		if err := netlink.LinkAdd(veth); err != nil {
			t.Fatalf("lay a cable: %v", err)
		}
	})
	for n, addrs := range map[*Namespace][]string{a: addrsA, b: addrsB} {
		n.Do(func() {
			if err := plug(addrs); err != nil {
				t.Fatalf("set up a cable: %v", err)
			}
		})
	}
}

func plug(addrs []string) error {
	link, err := netlink.LinkByName("cable")
	if err != nil {
		return err
	}
	for _, text := range addrs {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD // IPv6 would first ask around whether the address is taken
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, everywhere := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(everywhere)
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst}); err != nil {
			return err
		}
	}
	return nil
}
