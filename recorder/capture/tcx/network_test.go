package tcx

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/capture"
)

// Two machines and a cable, plain and in VLANs: at either end both directions are seen once, byte for byte.
func TestNetwork(t *testing.T) {
	near, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, near, far, []string{"10.1.0.1/24", "fd01::1/64"}, []string{"10.1.0.2/24", "fd01::2/64"})

	f := func(name string, at *testkit.Namespace, iface, addr string) {
		t.Run(name, func(t *testing.T) {
			ln := far.Listen(net.JoinHostPort(addr, "0"))
			serveBlobs(t, ln)
			var s *Source
			at.Do(func() { s = openHere(t, Config{Interfaces: []string{iface}, Services: services(portOf(ln))}) })
			got := newStreams(t)
			r := start(t, s, got)
			var talks []talk
			for i := range 5 {
				c, err := near.Dial(ln.Addr().String())
				require.NoError(t, err)
				talks = append(talks, ask(t, c, 1, 100+i, 30_000, 1<<20+i))
			}
			stats := r.stop()
			for _, w := range talks {
				got.holds(w)
				require.Greater(t, got.all[w.back()].largest, 1500, "the kernel cuts large answers behind the program, and joins them before")
			}
			require.Zero(t, stats.RingFull.Packets+stats.TooLong.Packets)
			require.Len(t, got.iface, 1)
		})
	}
	f("client, IPv4", near, "cable", "10.1.0.2")
	f("client, IPv6", near, "cable", "fd01::2")
	f("server, IPv4", far, "cable", "10.1.0.2")
	f("server, IPv6", far, "cable", "fd01::2")
}

// Frames in VLANs. The sender has the tags in the packet; at the receiver the kernel has taken the outer one off.
func TestVLAN(t *testing.T) {
	near, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, near, far, []string{"10.1.0.1/24"}, []string{"10.1.0.2/24"})
	const q, ad, v4, v6 = layers.EthernetTypeDot1Q, layers.EthernetType(0x88a8), layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	tcp := &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}
	tag := func(next layers.EthernetType) *layers.Dot1Q { return &layers.Dot1Q{VLANIdentifier: 5, Type: next} }
	frames := [][]byte{
		made(t, 10, ethernet(v4), ipv4(6), tcp),
		made(t, 20, ethernet(q), tag(v4), ipv4(6), tcp),
		made(t, 30, ethernet(q), tag(v6), ipv6(6), tcp),
		made(t, 40, ethernet(ad), tag(q), tag(v4), ipv4(6), tcp),
		made(t, 50, ethernet(ad), tag(q), tag(v6), ipv6(6), tcp),
	}
	for _, at := range []*testkit.Namespace{near, far} {
		var s *Source
		at.Do(func() { s = openHere(t, Config{Interfaces: []string{"cable"}, Services: services(80)}) })
		got := &payloads{}
		r := start(t, s, got)
		near.Do(func() { sendRaw(t, "cable", frames) })
		stats := r.stop()
		require.Equal(t, []int{10, 20, 30, 40, 50}, got.sizes)
		require.EqualValues(t, len(frames), stats.Seen.Packets)
	}
}

// payloads are the sizes of what the packets carried.
type payloads struct{ sizes []int }

func (p *payloads) Tick(int64) {}
func (p *payloads) Frame(f capture.Frame) {
	if _, tcp, err := dissect(f.Data); err == nil {
		p.sizes = append(p.sizes, len(tcp.Payload))
	}
}

// sendRaw puts frames on an interface as they are. A veth has delivered them when it returns.
func sendRaw(t *testing.T, name string, frames [][]byte) {
	i, err := net.InterfaceByName(name)
	require.NoError(t, err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	for _, b := range frames {
		require.NoError(t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}))
	}
}

// Several interfaces in one source; frames say which one they were seen on.
func TestSeveralInterfaces(t *testing.T) {
	near, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, near, far, []string{"10.1.0.1/24"}, []string{"10.1.0.2/24"})
	ln := far.Listen("0.0.0.0:0")
	serveBlobs(t, ln)
	var s *Source
	far.Do(func() { s = openHere(t, Config{Interfaces: []string{"cable", "lo"}, Services: services(portOf(ln))}) })
	got := newStreams(t)
	r := start(t, s, got)
	var talks []talk
	for n, addr := range map[*testkit.Namespace]string{near: "10.1.0.2", far: "127.0.0.1"} {
		c, err := n.Dial(fmt.Sprintf("%s:%d", addr, portOf(ln)))
		require.NoError(t, err)
		talks = append(talks, ask(t, c, 1000))
	}
	r.stop()
	for _, w := range talks {
		got.holds(w)
	}
	require.Len(t, got.iface, 2)
	require.Contains(t, got.iface, 1, "lo")
}

// An interface without link headers.
func TestTun(t *testing.T) {
	n := testkit.NewNamespace(t)
	var s *Source
	var tun *os.File
	n.Do(func() {
		tun = newTun(t, "tube")
		s = openHere(t, Config{Interfaces: []string{"tube"}, Services: services(80)})
	})
	defer tun.Close()
	got := newStreams(t)
	r := start(t, s, got)
	for i := range 10 {
		tcp := &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true, Seq: uint32(100 * i)}
		ip := made(t, 100, ipv4(6), tcp)
		if i >= 5 {
			ip = made(t, 100, ipv6(6), tcp)
		}
		_, err := tun.Write(ip)
		require.NoError(t, err)
	}
	require.EqualValues(t, 10, r.stop().Delivered.Packets)
}

// newTun makes an interface whose other end is a file.
func newTun(t *testing.T, name string) *os.File {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no tun devices here: %v", err)
	}
	tun := os.NewFile(uintptr(fd), name)
	req, err := unix.NewIfreq(name)
	require.NoError(t, err)
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	require.NoError(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, req))
	l, err := netlink.LinkByName(name)
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(l))
	return tun
}

// What cannot be captured is refused with a reason.
func TestRefused(t *testing.T) {
	n := testkit.NewNamespace(t)
	n.Do(func() {
		tun := newTun(t, "pipe")
		defer tun.Close()
		l, err := netlink.LinkByName("pipe")
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetDown(l))
		require.NoError(t, unix.IoctlSetInt(int(tun.Fd()), unix.TUNSETLINK, 778)) // as GRE
		f := func(want string, cfg Config) {
			t.Helper()
			_, err := Open(cfg)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		}
		f("interface nic0: not found (ip link lists what is there)", Config{Interfaces: []string{"nic0"}, Services: services(80)})
		f("interface pipe: link type 778 is neither Ethernet nor plain IP", Config{Interfaces: []string{"pipe"}, Services: services(80)})
		f("interface any: a BPF program stands at one interface: name them", Config{Interfaces: []string{"any"}, Services: services(80)})
		f("no interface", Config{Services: services(80)})
		f("no service", Config{Interfaces: []string{"lo"}})
		f("share 1.5", Config{Interfaces: []string{"lo"}, Services: services(80), Share: 1.5})
		f("ring of 1000B: want 64KiB to 1GiB", Config{Interfaces: []string{"lo"}, Services: services(80), Ring: 1000})
	})
}

// A source whose interface goes says so; it does not go on in silence.
func TestInterfaceGoes(t *testing.T) {
	near, far := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, near, far, []string{"10.1.0.1/24"}, []string{"10.1.0.2/24"})
	var s *Source
	near.Do(func() { s = openHere(t, Config{Interfaces: []string{"cable"}, Services: services(80)}) })
	done := make(chan error, 1)
	ready := &firstTick{up: make(chan struct{})}
	go func() { done <- s.Run(t.Context(), ready) }()
	<-ready.up
	near.Do(func() {
		l, err := netlink.LinkByName("cable")
		require.NoError(t, err)
		require.NoError(t, netlink.LinkDel(l))
	})
	select {
	case err := <-done:
		require.EqualError(t, err, "capture with BPF: interface cable has gone")
	case <-time.After(10 * time.Second):
		t.Fatal("Run goes on")
	}
}

// firstTick says when a run is under way.
type firstTick struct {
	up   chan struct{}
	said atomic.Bool
}

func (f *firstTick) Frame(capture.Frame) {}
func (f *firstTick) Tick(int64) {
	if f.said.CompareAndSwap(false, true) {
		close(f.up)
	}
}

// Packets that came before Run are delivered by it, and those on their way when it ends.
func TestNothingIsLeftInTheRing(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	serveBlobs(t, ln)
	s := openHere(t, Config{Interfaces: []string{"lo"}, Services: services(portOf(ln))})
	c, err := net.Dial("tcp4", ln.Addr().String())
	require.NoError(t, err)
	w := ask(t, c, 100_000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := newStreams(t)
	require.NoError(t, s.Run(ctx, got))
	got.holds(w)
}
