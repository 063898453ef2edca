package live

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"

	"github.com/redlane/redlane/recorder/capture"
)

// packet is the beginning of a TCP packet from one address and port to another, behind VLAN tags.
func packet(src, dst string, tags ...uint16) []byte {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	p := make([]byte, 12)
	for _, tag := range tags {
		p = binary.BigEndian.AppendUint16(p, tag)
		p = append(p, 0x40, 7)
	}
	if s.Addr().Is4() {
		p = append(p, 0x08, 0x00, 0x46, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0) // with four bytes of options
		p = append(append(p, s.Addr().AsSlice()...), d.Addr().AsSlice()...)
		p = append(p, 1, 1, 1, 0)
	} else {
		p = append(p, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64)
		p = append(append(p, s.Addr().AsSlice()...), d.Addr().AsSlice()...)
	}
	p = binary.BigEndian.AppendUint16(p, s.Port())
	p = binary.BigEndian.AppendUint16(p, d.Port())
	return append(p, make([]byte, 16)...)
}

// The part of the filter that looks at bytes, in the interpreter of x/net/bpf. The part that asks the kernel
// is tested with its packets.
func TestFilterKnowsWhoseAPacketIs(t *testing.T) {
	services := []capture.Service{
		{Name: "web", Port: 8080},
		{Name: "one", Port: 81, Addr: netip.MustParseAddr("10.0.0.1")},
		{Name: "six", Port: 82, Addr: netip.MustParseAddr("fd00::1")},
	}
	vm, err := bpf.NewVM(append(ethernet(), match(services)...))
	require.NoError(t, err)
	f := func(p []byte, want bool) {
		t.Helper()
		n, err := vm.Run(p)
		require.NoError(t, err)
		require.Equal(t, want, n == everything, "%d bytes kept", n)
	}
	f(packet("10.0.0.9:4711", "10.0.0.2:8080"), true)
	f(packet("10.0.0.2:8080", "10.0.0.9:4711"), true)
	f(packet("[fd00::9]:4711", "[fd00::2]:8080"), true)
	f(packet("[fd00::2]:8080", "[fd00::9]:4711"), true)
	f(packet("10.0.0.9:4711", "10.0.0.2:8081"), false)
	f(packet("[fd00::9]:4711", "[fd00::2]:8081"), false)

	f(packet("10.0.0.9:4711", "10.0.0.1:81"), true)
	f(packet("10.0.0.1:81", "10.0.0.9:4711"), true)
	f(packet("10.0.0.9:4711", "10.0.0.2:81"), false)
	f(packet("10.0.0.1:4711", "10.0.0.2:81"), false) // the address of the one, the port of the other
	f(packet("[fd00::9]:4711", "[fd00::1]:81"), false)
	f(packet("[fd00::9]:4711", "[fd00::1]:82"), true)
	f(packet("[fd00::1]:82", "[fd00::9]:4711"), true)
	f(packet("[fd00::9]:4711", "[fd00::1:0:1]:82"), false)
	f(packet("10.0.0.9:4711", "10.0.0.1:82"), false)

	f(packet("10.0.0.9:4711", "10.0.0.2:8080", 0x8100), true)
	f(packet("10.0.0.9:4711", "10.0.0.2:8080", 0x88a8, 0x8100), true)
	f(packet("[fd00::9]:4711", "[fd00::2]:8080", 0x9100, 0x8100), true)
	f(packet("[fd00::9]:4711", "[fd00::2]:8081", 0x9100, 0x8100), false)

	// Acknowledgements alone, and what makes them more: data, a flag, a length that does not fit.
	for _, p := range [][]byte{packet("10.0.0.9:4711", "10.0.0.2:8080", 0x8100), packet("[fd00::9]:4711", "[fd00::2]:8080")} {
		length, tcp := p[18+2:], p[18+24:]
		if p[12] == 0x86 {
			length, tcp = p[14+4:], p[14+40:]
			length[1] = 32
		} else {
			length[1] = 24 + 32
		}
		tcp[12] = 8 << 4
		f(p, false)
		length[1]++
		f(p, true)
		length[1]--
		for flag, want := range map[byte]bool{1: true, 2: true, 4: true, 8: false, 16: false, 32: false} {
			tcp[13] = flag | 16
			f(p, want)
		}
		tcp[13] = 16
		length[0], length[1] = 0, 0
		f(p, true)
	}

	udp := packet("10.0.0.9:4711", "10.0.0.2:8080")
	udp[14+9] = 17
	f(udp, false)
	fragment := packet("10.0.0.9:4711", "10.0.0.2:8080")
	fragment[14+7] = 185
	f(fragment, false)
	extended := packet("[fd00::9]:4711", "[fd00::2]:9")
	extended[14+6] = 60
	extended[14+40] = 6
	f(extended, true)
	extended[14+40] = 58
	f(extended, false)
	icmp := packet("[fd00::9]:4711", "[fd00::2]:8080")
	icmp[14+6] = 58
	f(icmp, false)
	f(slices.Concat(make([]byte, 12), []byte{8, 6, 0, 1, 8, 0, 6, 4}, make([]byte, 40)), false) // ARP
	for n := range 40 {
		f(packet("10.0.0.9:4711", "10.0.0.2:8080")[:n], false)
	}
}

// The kernel takes no more than 4096 instructions.
func TestFilterFitsTheKernel(t *testing.T) {
	addr := netip.MustParseAddr("fd00::1")
	for _, s := range []capture.Service{{Port: 1}, {Port: 1, Addr: addr}, {Port: 1, Addr: netip.MustParseAddr("10.0.0.1")}} {
		require.LessOrEqual(t, len(filter([]int{1, 2, 3}, slices.Repeat([]capture.Service{s}, maxServices))), 4096)
	}
}
