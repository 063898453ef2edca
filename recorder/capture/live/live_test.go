package live

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A taker keeps what a capture gives it.
type taker struct {
	frames []capture.Frame
	ticks  []int64
	slow   chan struct{} // when set, every frame waits for it
}

func (k *taker) Frame(f capture.Frame) {
	if k.slow != nil {
		<-k.slow
	}
	f.Data = bytes.Clone(f.Data)
	k.frames = append(k.frames, f)
}

func (k *taker) Tick(now int64) { k.ticks = append(k.ticks, now) }

// A running capture in a namespace.
type running struct {
	*Capture
	takers []*taker
	stop   func() *traffic.Ledger
}

func start(t *testing.T, n *testkit.Namespace, cfg Config) *running {
	t.Helper()
	r := new(running)
	var err error
	n.Do(func() { r.Capture, err = Open(cfg) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var to []capture.Frames
	for range r.cfg.Workers {
		k := new(taker)
		r.takers, to = append(r.takers, k), append(to, k)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, to...) }()
	r.stop = func() *traffic.Ledger {
		cancel()
		require.NoError(t, <-done)
		l := r.Ledger()
		require.NoError(t, l.Balance())
		n := 0
		for _, k := range r.takers {
			n += len(k.frames)
		}
		require.EqualValues(t, n, l.Passed)
		return &l
	}
	return r
}

// echo has a client send a message of size bytes to addr and take it back, n times on each of conns
// connections.
func echo(t *testing.T, client, server *testkit.Namespace, addr string, conns, n, size int) {
	t.Helper()
	var ln net.Listener
	var err error
	server.Do(func() { ln, err = net.Listen("tcp", addr) })
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	message := bytes.Repeat([]byte("redlane."), size/8)
	for range conns {
		c, err := client.Dial(addr)
		require.NoError(t, err)
		for range n {
			go func() { _, _ = c.Write(message) }()
			_, err = io.ReadFull(c, make([]byte, size))
			require.NoError(t, err)
		}
		require.NoError(t, c.Close())
	}
}

// payload is the number of TCP bytes to and from port, each sequence number once. TCP itself sends some
// packets again, within microseconds when a receiver is slow; but not a tenth of them.
func payload(t *testing.T, frames []capture.Frame, port layers.TCPPort) (in, out int) {
	t.Helper()
	again := 0
	type span struct{ from, to int64 }
	seen := make(map[string]bool)
	spans := map[bool]map[string][]span{false: {}, true: {}} // to port or not, by flow
	for _, f := range frames {
		require.Equal(t, f.Length, len(f.Data))
		p := gopacket.NewPacket(f.Data, f.Link, gopacket.Default)
		require.Nil(t, p.ErrorLayer(), "%v", p)
		tcp, ok := p.TransportLayer().(*layers.TCP)
		require.True(t, ok, "%v", p)
		require.True(t, tcp.SrcPort == port || tcp.DstPort == port)
		if len(tcp.Payload) == 0 {
			continue
		}
		flow := fmt.Sprint(p.NetworkLayer().NetworkFlow(), tcp.TransportFlow())
		packet := fmt.Sprint(flow, tcp.Seq, len(tcp.Payload))
		if seen[packet] {
			again++
		}
		seen[packet] = true
		to := tcp.DstPort == port
		spans[to][flow] = append(spans[to][flow], span{int64(tcp.Seq), int64(tcp.Seq) + int64(len(tcp.Payload))})
	}
	size := func(flows map[string][]span) (n int64) {
		for _, s := range flows {
			slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.from, b.from) })
			var end int64
			for _, s := range s {
				n += max(0, s.to-max(s.from, end))
				end = max(end, s.to)
			}
		}
		return n
	}
	require.LessOrEqual(t, again, len(frames)/10)
	return int(size(spans[true])), int(size(spans[false]))
}

var web = []capture.Service{{Name: "web", Port: 8080}}

// Every byte of every connection on loopback is seen once, in packets of all sizes, by IPv4 and IPv6; ports
// that nobody asked for are not.
func TestLoopbackIsSeenOnce(t *testing.T) {
	for _, iface := range []string{"lo", Any} {
		t.Run(iface, func(t *testing.T) {
			n := testkit.NewNamespace(t)
			began := time.Now().UnixNano()
			r := start(t, n, Config{Interfaces: []string{iface}, Services: web})
			echo(t, n, n, "127.0.0.1:8080", 3, 50, 64)
			echo(t, n, n, "[::1]:8080", 1, 20, 1<<20)
			echo(t, n, n, "127.0.0.1:8081", 1, 5, 64)
			l := r.stop()
			require.Zero(t, l.Lost())
			in, out := payload(t, r.takers[0].frames, 8080)
			require.Equal(t, 3*50*64+20<<20, in)
			require.Equal(t, in, out)
			last := began
			for _, f := range r.takers[0].frames {
				require.GreaterOrEqual(t, f.Time, last-int64(time.Second))
				require.LessOrEqual(t, f.Time, time.Now().UnixNano())
				require.Equal(t, 1, f.Iface) // loopback is every namespace's first
			}
		})
	}
}

// Between machines both directions are seen, also of frames with VLAN tags: the kernel takes the outer tag
// off, and it is put back.
func TestVLANTagsArePutBack(t *testing.T) {
	a, b := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, a, b, []string{"10.7.0.1/24"}, []string{"10.7.0.2/24"})
	r := start(t, b, Config{Interfaces: []string{"cable"}, Services: web})
	s := start(t, a, Config{Interfaces: []string{"cable"}, Services: web})
	echo(t, a, b, "10.7.0.2:8080", 1, 30, 1<<16)
	var tagged [][]byte
	for _, tags := range [][]uint16{{0x8100}, {0x88a8}, {0x88a8, 0x8100}, {0x8100, 0x8100}} {
		tagged = append(tagged, packet("10.7.0.1:4711", "10.7.0.2:8080", tags...), packet("[fd00::1]:4711", "[fd00::2]:8080", tags...))
	}
	send(t, a, "cable", tagged)
	for _, r := range []*running{r, s} {
		require.Zero(t, r.stop().Lost())
		frames := r.takers[0].frames
		var sent []capture.Frame
		frames = slices.DeleteFunc(frames, func(f capture.Frame) bool {
			is := bytes.Equal(f.Data[:12], make([]byte, 12))
			if is {
				sent = append(sent, f)
			}
			return is
		})
		require.Len(t, sent, len(tagged))
		in, out := payload(t, frames, 8080)
		require.Equal(t, 30<<16, in)
		require.Equal(t, 30<<16, out)
		for i, want := range tagged {
			require.Equal(t, layers.LinkTypeEthernet, sent[i].Link)
			require.Equal(t, want, sent[i].Data)
			require.Equal(t, len(want), sent[i].Length)
		}
	}
}

// send puts frames on a wire as they are.
func send(t *testing.T, n *testkit.Namespace, iface string, frames [][]byte) {
	t.Helper()
	n.Do(func() {
		link, err := netlink.LinkByName(iface)
		require.NoError(t, err)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		for _, f := range frames {
			require.NoError(t, unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}))
		}
	})
}

// A tunnel has no link layer: its packets begin with IP.
func TestTunnelsBeginWithIP(t *testing.T) {
	n := testkit.NewNamespace(t)
	tun := over(t, n, &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "over"}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1, Flags: netlink.TUNTAP_NO_PI}, "10.9.0.1/24").(*netlink.Tuntap)
	r := start(t, n, Config{Interfaces: []string{"over"}, Services: web})
	var want [][]byte
	for _, p := range [][]byte{packet("10.9.0.2:4711", "10.9.0.1:8080"), packet("10.9.0.2:4711", "10.9.0.1:9"), packet("[fd00::1]:4711", "[fd00::2]:8080")} {
		_, err := tun.Fds[0].Write(p[14:])
		require.NoError(t, err)
		want = append(want, p[14:])
	}
	r.stop()
	frames := r.takers[0].frames
	require.Len(t, frames, 2)
	for i, want := range [][]byte{want[0], want[2]} {
		require.Equal(t, layers.LinkTypeRaw, frames[i].Link)
		require.Equal(t, want, frames[i].Data)
		require.Equal(t, len(want), frames[i].Length)
	}
}

// over puts a device of one end up, with an address.
func over(t *testing.T, n *testkit.Namespace, device netlink.Link, addr string) netlink.Link {
	t.Helper()
	n.Do(func() {
		require.NoError(t, netlink.LinkAdd(device))
		a, err := netlink.ParseAddr(addr)
		require.NoError(t, err)
		require.NoError(t, netlink.AddrAdd(device, a))
		require.NoError(t, netlink.LinkSetUp(device))
	})
	if tun, ok := device.(*netlink.Tuntap); ok {
		t.Cleanup(func() { tun.Fds[0].Close() })
	}
	return device
}

// Two interfaces are one ring, in order, and others are left out.
func TestSeveralInterfaces(t *testing.T) {
	a, b := testkit.NewNamespace(t), testkit.NewNamespace(t)
	testkit.Join(t, a, b, []string{"10.7.0.1/24"}, []string{"10.7.0.2/24"})
	over(t, b, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "over"}}, "10.9.0.2/24")
	two := start(t, b, Config{Interfaces: []string{"cable", "over"}, Services: web})
	all := start(t, b, Config{Interfaces: []string{"lo", "cable", "over"}, Services: web})
	echo(t, a, b, "10.7.0.2:8080", 1, 10, 800)
	echo(t, b, b, "127.0.0.1:8080", 1, 10, 80)
	two.stop()
	all.stop()
	in, _ := payload(t, two.takers[0].frames, 8080)
	require.Equal(t, 10*800, in)
	in, _ = payload(t, all.takers[0].frames, 8080)
	require.Equal(t, 10*880, in)
}

// Workers share the connections, never the packets of one.
func TestWorkersShareConnections(t *testing.T) {
	n := testkit.NewNamespace(t)
	r := start(t, n, Config{Interfaces: []string{"lo"}, Services: web, Workers: 3})
	echo(t, n, n, "127.0.0.1:8080", 60, 3, 640)
	require.Zero(t, r.stop().Lost())
	owner := make(map[netip.AddrPort]int)
	total := 0
	for i, k := range r.takers {
		require.NotEmpty(t, k.frames)
		in, out := payload(t, k.frames, 8080)
		require.Equal(t, in, out)
		total += in
		for _, f := range k.frames {
			tcp := gopacket.NewPacket(f.Data, f.Link, gopacket.Default).TransportLayer().(*layers.TCP)
			client := netip.AddrPortFrom(netip.Addr{}, uint16(tcp.SrcPort))
			if tcp.SrcPort == 8080 {
				client = netip.AddrPortFrom(netip.Addr{}, uint16(tcp.DstPort))
			}
			if other, ok := owner[client]; ok {
				require.Equal(t, other, i, "two workers had packets of a connection")
			}
			owner[client] = i
		}
	}
	require.Equal(t, 60*3*640, total)
	require.Len(t, owner, 60)
}

// When the reader stands still and the ring is full, the kernel drops and says how many; the ledger is exact.
func TestFullRingIsCounted(t *testing.T) {
	n := testkit.NewNamespace(t)
	var c *Capture
	var err error
	n.Do(func() {
		c, err = Open(Config{Interfaces: []string{"lo"}, Services: web, Ring: minBlocks * blockSize})
	})
	require.NoError(t, err)
	k := &taker{slow: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, k) }()
	echo(t, n, n, "127.0.0.1:8080", 1, 20, 1<<20)
	require.NotZero(t, c.Stats().Lag)
	cancel()
	close(k.slow)
	require.NoError(t, <-done)
	l := c.Ledger()
	require.NoError(t, l.Balance())
	require.EqualValues(t, len(k.frames), l.Passed)
	require.NotZero(t, l.Dropped["kernel"])
	require.NotZero(t, c.Stats().Freezes)
	require.Zero(t, c.Stats().Lag)
}

// Time goes on for connections when nothing comes.
func TestTicksComeWithoutTraffic(t *testing.T) {
	n := testkit.NewNamespace(t)
	r := start(t, n, Config{Interfaces: []string{"lo"}, Services: web})
	time.Sleep(2500 * time.Millisecond)
	r.stop()
	ticks := r.takers[0].ticks
	require.GreaterOrEqual(t, len(ticks), 2)
	require.InDelta(t, time.Now().UnixNano(), ticks[len(ticks)-1], 2e9)
}

// An interface that goes down and comes up is captured on; one that is taken away ends the capture with an
// error that says so.
func TestInterfaceGoesAndComes(t *testing.T) {
	n := testkit.NewNamespace(t)
	set := func(f func(netlink.Link) error) {
		n.Do(func() {
			link, err := netlink.LinkByName("lo")
			require.NoError(t, err)
			require.NoError(t, f(link))
		})
	}
	r := start(t, n, Config{Interfaces: []string{"lo"}, Services: web})
	echo(t, n, n, "127.0.0.1:8080", 1, 1, 80)
	set(netlink.LinkSetDown)
	time.Sleep(50 * time.Millisecond)
	set(netlink.LinkSetUp)
	echo(t, n, n, "127.0.0.1:8080", 1, 2, 80)
	r.stop()
	in, out := payload(t, r.takers[0].frames, 8080)
	require.Equal(t, 3*80, in)
	require.Equal(t, in, out)

	var c *Capture
	n.Do(func() {
		gone := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "gone"}}
		require.NoError(t, netlink.LinkAdd(gone))
		require.NoError(t, netlink.LinkSetUp(gone))
		var err error
		c, err = Open(Config{Interfaces: []string{"gone"}, Services: web})
		require.NoError(t, err)
		require.NoError(t, netlink.LinkDel(gone))
	})
	require.ErrorContains(t, c.Run(t.Context(), new(taker)), "capture packets from gone: look for the interface: no such device")
}

func TestWrongConfigurationIsSaid(t *testing.T) {
	f := func(cfg Config, want string) {
		t.Helper()
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
	}
	f(Config{Services: web}, "no interface")
	f(Config{Interfaces: []string{"lo"}}, "no service")
	f(Config{Interfaces: []string{"lo"}, Services: []capture.Service{{Name: "web"}}}, "service web has no port")
	f(Config{Interfaces: []string{"an"}, Services: web}, `no interface "an" (did you mean "any"?)`)
	f(Config{Interfaces: []string{"lo"}, Services: web, Ring: 1}, "ring of 1B: want at least 4MiB for each worker")
	f(Config{Interfaces: []string{"lo"}, Services: web, Workers: 65}, "65 workers: want 1 to 64")
}
