package tcx

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A bench runs the program on made packets, without an interface.
type bench struct {
	s *Source
	p *ebpf.Program
}

func newBench(t testing.TB, v variant, ports ...uint16) *bench {
	t.Helper()
	if err := Probe(); err != nil {
		t.Skipf("no tcx here: %v", err)
	}
	b := &bench{s: &Source{}}
	var err error
	b.s.maps, err = newMaps(ports, max(1, int(v.workers)), 1<<20)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.s.close()) })
	for _, m := range b.s.maps.rings {
		r, err := newRing(m)
		require.NoError(t, err)
		b.s.readers = append(b.s.readers, &reader{ring: r})
	}
	b.p, err = b.s.maps.load(v)
	require.NoError(t, err)
	t.Cleanup(func() { b.p.Close() })
	return b
}

// try sends one frame through the program and returns what it copied, and what it counted since the start.
func (b *bench) try(t testing.TB, frame []byte) (copied [][]byte, after Stats) {
	t.Helper()
	verdict, err := b.p.Run(&ebpf.RunOptions{Data: frame})
	require.NoError(t, err)
	require.Equal(t, int32(next), int32(verdict), "others see the packet too")
	for _, r := range b.s.readers {
		r.each(func(record []byte) {
			_, _, data := packet(record)
			copied = append(copied, append([]byte(nil), data...))
		})
	}
	after, err = b.s.Stats()
	require.NoError(t, err)
	return copied, after
}

// made is the layers of a packet, and the bytes of its payload.
func made(t testing.TB, payload int, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	out := gopacket.NewSerializeBuffer()
	all = append(all, gopacket.Payload(make([]byte, payload)))
	require.NoError(t, gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true}, all...))
	return out.Bytes()
}

func ethernet(next layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: next}
}

func ipv4(next layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: next, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
}

func ipv6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
}

// unpadded is a packet without what fills Ethernet up to its least size.
func unpadded(b []byte) []byte {
	n := int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 == 6 {
		n = 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	if n == 0 {
		return b
	}
	return b[:n]
}

func TestWhatTheProgramTakes(t *testing.T) {
	b := newBench(t, variant{link: 14, share: whole, iface: 7}, 80, 65535)
	data := func() *layers.TCP { return &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true, PSH: true} }
	const v4, v6, q, ad = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q, layers.EthernetType(0x88a8)

	const (
		taken = iota
		ignored
		empty
		unparsed
	)
	last := Stats{}
	f := func(want int, name string, frame []byte, strip int) {
		t.Helper()
		copied, now := b.try(t, frame)
		got := [...]uint64{
			now.Copied.Packets - last.Copied.Packets, 0,
			now.Empty.Packets - last.Empty.Packets, now.Unparsed.Packets - last.Unparsed.Packets,
		}
		wanted := [...]uint64{0, 0, 0, 0}
		if want != ignored {
			wanted[want] = 1
		}
		require.Equal(t, wanted, got, name)
		if want == taken {
			require.Len(t, copied, 1, name)
			require.Equal(t, unpadded(frame[strip:]), copied[0], name)
			require.EqualValues(t, len(copied[0]), now.Copied.Bytes-last.Copied.Bytes, name)
		} else {
			require.Empty(t, copied, name)
		}
		require.Equal(t, now.Seen.Bytes, now.Copied.Bytes+now.Empty.Bytes, name)
		last = now
	}
	f(taken, "IPv4", made(t, 100, ethernet(v4), ipv4(6), data()), 14)
	f(taken, "IPv6", made(t, 100, ethernet(v6), ipv6(6), data()), 14)
	f(taken, "from the port", made(t, 1, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 80, DstPort: 4000, ACK: true}), 14)
	f(taken, "the last port", made(t, 1, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 65535, DstPort: 4000, ACK: true}), 14)
	f(ignored, "a port beside", made(t, 100, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 81, DstPort: 79, ACK: true}), 14)
	f(ignored, "a port that is this one swapped", made(t, 100, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 80 << 8, DstPort: 1, ACK: true}), 14)
	f(ignored, "UDP", made(t, 100, ethernet(v4), ipv4(17), &layers.UDP{SrcPort: 80, DstPort: 80}), 14)
	f(ignored, "UDP on IPv6", made(t, 100, ethernet(v6), ipv6(17), &layers.UDP{SrcPort: 80, DstPort: 80}), 14)
	f(ignored, "ARP", made(t, 46, ethernet(layers.EthernetTypeARP)), 14)

	f(taken, "SYN", made(t, 0, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, SYN: true}), 14)
	f(taken, "FIN", made(t, 0, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, FIN: true, ACK: true}), 14)
	f(taken, "RST", made(t, 0, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, RST: true}), 14)
	f(empty, "ACK", made(t, 0, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}), 14)
	f(empty, "ACK on IPv6", made(t, 0, ethernet(v6), ipv6(6), &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}), 14)
	stamps := &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true, Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}}}
	f(empty, "ACK with options", made(t, 0, ethernet(v4), ipv4(6), stamps), 14)
	f(taken, "one byte behind options", made(t, 1, ethernet(v4), ipv4(6), stamps), 14)
	padded := append(made(t, 0, ethernet(v4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}), make([]byte, 6)...)
	f(empty, "ACK that Ethernet filled up to its least size", padded, 14)

	options := ipv4(6)
	options.Options = []layers.IPv4Option{{OptionType: 7, OptionLength: 7, OptionData: make([]byte, 5)}}
	f(taken, "IPv4 with options", made(t, 100, ethernet(v4), options, data()), 14)
	f(taken, "VLAN", made(t, 100, ethernet(q), &layers.Dot1Q{VLANIdentifier: 5, Type: v4}, ipv4(6), data()), 18)
	f(taken, "two VLANs", made(t, 100, ethernet(ad), &layers.Dot1Q{VLANIdentifier: 5, Type: q}, &layers.Dot1Q{VLANIdentifier: 6, Type: v6}, ipv6(6), data()), 22)
	f(ignored, "three", made(t, 100, ethernet(ad), &layers.Dot1Q{Type: q}, &layers.Dot1Q{Type: q}, &layers.Dot1Q{Type: v4}, ipv4(6), data()), 26)

	more := ipv4(6)
	more.Flags = layers.IPv4MoreFragments
	f(unparsed, "the first fragment", made(t, 100, ethernet(v4), more, data()), 14)
	rest := ipv4(6)
	rest.FragOffset = 100
	f(unparsed, "another fragment", made(t, 100, ethernet(v4), rest), 14)
	whole := ipv4(6)
	whole.Flags = layers.IPv4DontFragment
	f(taken, "not to be cut", made(t, 100, ethernet(v4), whole, data()), 14)
	for _, h := range stopsAt {
		hides := made(t, 100, ethernet(v6), ipv6(layers.IPProtocol(h)))
		f(ignored, "IPv6 header that hides another protocol", hides, 14)
		hides[14+40] = nextTCP
		f(unparsed, "IPv6 header that hides TCP", hides, 14)
	}
	chain := func(kinds ...int32) []byte { // each header is 16 bytes
		b := made(t, 100, ethernet(v6), ipv6(layers.IPProtocol(kinds[0])), gopacket.Payload(make([]byte, 16*len(kinds))), data())
		for i := range kinds {
			h := b[14+40+16*i:]
			h[0], h[1] = nextTCP, 1
			if i+1 < len(kinds) {
				h[0] = byte(kinds[i+1])
			}
		}
		return b
	}
	for _, h := range stepsOver {
		f(taken, "IPv6 header before TCP", chain(h), 14)
	}
	f(taken, "four of them", chain(stepsOver...), 14)
	f(unparsed, "five", chain(60, 60, 60, 60, 60), 14)
	f(unparsed, "one that hides TCP behind another", chain(0, 51), 14)
	f(ignored, "one that hides UDP behind another", func() []byte { b := chain(0, 51); b[14+40+16] = 17; return b }(), 14)
	f(ignored, "UDP behind one", chain(0, 17), 14)
	lies := made(t, 100, ethernet(v4), ipv4(6), data())
	binary.BigEndian.PutUint16(lies[16:], 2000)
	f(unparsed, "longer than it is", lies, 14)
	joined := made(t, 100, ethernet(v4), ipv4(6), data())
	binary.BigEndian.PutUint16(joined[16:], 0)
	f(taken, "of a length that the field cannot say", joined, 14)
	f(unparsed, "no room for TCP", made(t, 10, ethernet(v4), ipv4(6)), 14)

	for _, n := range append([]int32{0, 1}, classes[:7]...) { // both sides of every size that a test packet may have
		for d := int32(-1); d <= 1; d++ {
			if n+d > 41 {
				f(taken, "size", made(t, int(n+d)-40, ethernet(v4), ipv4(6), data()), 14)
			}
		}
	}
}

// The interface's packets begin with IP.
func TestPlainIP(t *testing.T) {
	b := newBench(t, variant{link: 0, share: whole}, 80)
	require.NotNil(t, b.p) // that the kernel takes it; traffic is in TestTun
}

// Go and the kernel draw the same connections.
func TestDrawnAlike(t *testing.T) {
	const seed, part = 0xfedcba9876543210, 0.3
	b := newBench(t, variant{link: 14, share: of(part), seed: seed}, 80)
	kept, before := 0, uint64(0)
	for i := range 500 {
		var net4, tcp = ipv4(6), &layers.TCP{SrcPort: layers.TCPPort(2000 + 7*i), DstPort: 80, SYN: true}
		from, to := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		frame := made(t, 0, ethernet(layers.EthernetTypeIPv4), net4, tcp)
		if i%2 == 1 {
			from, to = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
			frame = made(t, 0, ethernet(layers.EthernetTypeIPv6), ipv6(6), tcp)
		}
		copied, after := b.try(t, frame)
		a, z := netip.AddrPortFrom(from, uint16(tcp.SrcPort)), netip.AddrPortFrom(to, 80)
		require.Equal(t, of(part).keeps(seed, a, z), len(copied) == 1, "%s to %s", a, z)
		require.Equal(t, of(part).keeps(seed, a, z), of(part).keeps(seed, z, a))
		kept += len(copied)
		require.EqualValues(t, i+1, after.KeptConnections+after.LeftConnections)
		require.Equal(t, before+uint64(1-len(copied)), after.LeftConnections)
		before = after.LeftConnections
	}
	require.InDelta(t, part*500, kept, 55)
}

// A connection counts once, however often its SYN is sent, and again when its ends begin another.
func TestConnectionsAreCountedOnce(t *testing.T) {
	b := newBench(t, variant{link: 14, share: 1}, 80) // 1 of 4 billion
	f := func(want uint64, tcp layers.TCP, payload int) {
		t.Helper()
		_, after := b.try(t, made(t, payload, ethernet(layers.EthernetTypeIPv4), ipv4(6), &tcp))
		require.Equal(t, want, after.LeftConnections)
	}
	f(1, layers.TCP{SrcPort: 4000, DstPort: 80, SYN: true, Seq: 100}, 0)
	f(1, layers.TCP{SrcPort: 4000, DstPort: 80, SYN: true, Seq: 100}, 0)
	f(1, layers.TCP{SrcPort: 4000, DstPort: 80, SYN: true, ACK: true, Seq: 900, Ack: 101}, 0)
	f(1, layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true, Seq: 101, Ack: 901}, 50)
	f(1, layers.TCP{SrcPort: 4000, DstPort: 80, FIN: true, ACK: true, Seq: 151, Ack: 901}, 0)
	f(2, layers.TCP{SrcPort: 4000, DstPort: 80, SYN: true, Seq: 7_000}, 0)
	f(3, layers.TCP{SrcPort: 4001, DstPort: 80, ACK: true, Seq: 5}, 10) // had begun before
	f(3, layers.TCP{SrcPort: 4001, DstPort: 80, ACK: true, Seq: 15}, 10)
	f(4, layers.TCP{SrcPort: 4002, DstPort: 80, SYN: true, ACK: true, Seq: 1, Ack: 0}, 0) // the SYN before was not seen
	f(4, layers.TCP{SrcPort: 4002, DstPort: 80, SYN: true, Seq: 0xffffffff}, 0)
}

// Whatever comes over the wire: nothing is copied twice, what is copied is the packet's, and the books balance.
func FuzzProgram(f *testing.F) {
	b := newBench(f, variant{link: 14, share: whole}, 80)
	f.Add(made(f, 100, ethernet(layers.EthernetTypeIPv4), ipv4(6), &layers.TCP{SrcPort: 4000, DstPort: 80, ACK: true}))
	f.Add(made(f, 100, ethernet(layers.EthernetTypeIPv6), ipv6(6), &layers.TCP{SrcPort: 80, DstPort: 4000, ACK: true}))
	f.Add(made(f, 100, ethernet(layers.EthernetTypeDot1Q), &layers.Dot1Q{Type: layers.EthernetTypeIPv4}, ipv4(6), &layers.TCP{DstPort: 80, SYN: true}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > 1500 {
			return // the kernel runs it on no others here
		}
		if _, err := b.p.Run(&ebpf.RunOptions{Data: frame}); errors.Is(err, unix.EINVAL) {
			return // nor on some that end within the IP header
		}
		b.s.readers[0].each(func([]byte) {})
		copied, after := b.try(t, frame)
		require.LessOrEqual(t, len(copied), 1)
		if len(copied) == 1 {
			at := len(frame)
			for _, off := range []int{14, 18, 22} {
				if off+len(copied[0]) <= len(frame) && string(frame[off:off+len(copied[0])]) == string(copied[0]) {
					at = off
				}
			}
			require.Less(t, at, len(frame), "not of the packet: %x", copied[0])
		}
		require.Equal(t, after.Seen.Bytes, after.Copied.Bytes+after.Empty.Bytes+after.TooLong.Bytes+after.RingFull.Bytes)
		require.Equal(t, after.Seen.Packets, after.Copied.Packets+after.Empty.Packets+after.TooLong.Packets+after.RingFull.Packets)
	})
}
