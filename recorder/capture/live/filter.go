package live

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/capture"
)

// The filter decides in the kernel which packets are copied into the ring: TCP over IPv4 or IPv6, plain or
// behind one or two VLAN tags, to or from a service. What only acknowledges is left out: the next data that
// its sender sends acknowledges as much, and large bodies have one such packet for every two of data. Later fragments have no ports and are left out; IPv6
// with extension headers passes whatever its ports and is looked at later.
//
//	seen twice? ─► where does IP begin ─► TCP? ─► data, begin or end? ─► ports, addresses of each service

const everything = 1 << 30 // bytes of a packet to keep

// nothing keeps no packet. A socket has it until it is ready, and again while it is read empty.
var nothing = []bpf.Instruction{bpf.RetConstant{Val: 0}}

func filter(interfaces []int, services []capture.Service) []bpf.Instruction {
	p := once()
	p = append(p, only(interfaces)...)
	p = append(p, findIP()...)
	return append(p, match(services)...)
}

// once leaves out packets that go into a loopback: they come out of it at once and are taken there.
func once() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ARPHRD_LOOPBACK, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// only leaves out the interfaces that were not asked for, where several were: one ring for all of them keeps
// the packets of a connection in order.
func only(interfaces []int) (p []bpf.Instruction) {
	if len(interfaces) < 2 {
		return nil
	}
	p = append(p, bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
	for i, index := range interfaces {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(index), SkipTrue: 1}, bpf.Jump{Skip: uint32(2*(len(interfaces)-i) - 1)})
	}
	return append(p, bpf.RetConstant{Val: 0})
}

// netOffset has the kernel count from the network header, for links that have no header of their own.
const netOffset = 0xfff00000 // SKF_NET_OFF

// findIP leaves the offset of the IP header in X. A tag that the network card took off is no part of the
// packet; others are.
func findIP() []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ARPHRD_LOOPBACK, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ARPHRD_ETHER, SkipTrue: 2},
		bpf.LoadConstant{Dst: bpf.RegX, Val: netOffset},
	}
	eth := ethernet()
	p = append(p, bpf.Jump{Skip: uint32(len(eth))})
	return append(p, eth...)
}

// ethernet steps over two addresses and up to two VLAN tags.
func ethernet() (p []bpf.Instruction) {
	const first, last = 14, 14 + 2*4
	for at := uint32(first); at < last; at += 4 {
		p = append(p,
			bpf.LoadConstant{Dst: bpf.RegX, Val: at},
			bpf.LoadAbsolute{Off: at - 2, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipTrue: 3},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021AD, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_QINQ1, SkipTrue: 1}, // from before there was a standard
			bpf.Jump{Skip: (last-4-at)/4*6 + 1})                                 // no tag: past the rest of the tags
	}
	return append(p, bpf.LoadConstant{Dst: bpf.RegX, Val: last})
}

// Places in the filter's memory.
const (
	memIP  = iota // offset of the IP header
	memSrc        // ports
	memDst
	memData // offset of the data
)

// match expects the offset of the IP header in X.
func match(services []capture.Service) []bpf.Instruction {
	v4 := append([]bpf.Instruction{
		bpf.LoadIndirect{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadIndirect{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x1fff, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
	}, slices.Concat(notEmpty(2, 0), matchPorts(services, netip.Addr.Is4, 12, 16))...)
	v6 := append([]bpf.Instruction{
		bpf.LoadIndirect{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 12},
		// One extension header is looked behind, so that not every neighbour's ICMP is copied.
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_HOPOPTS, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ROUTING, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_FRAGMENT, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_DSTOPTS, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadIndirect{Off: 40, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ROUTING, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_FRAGMENT, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_DSTOPTS, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: everything},
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 40},
		bpf.TAX{},
	}, slices.Concat(notEmpty(4, 40), matchPorts(services, netip.Addr.Is6, 8, 24))...)
	p := []bpf.Instruction{
		bpf.StoreScratch{Src: bpf.RegX, N: memIP},
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.Jump{Skip: uint32(len(v4))},
	}
	return append(append(p, v4...), v6...)
}

// notEmpty leaves out packets without data that neither begin nor end a connection. It expects the offset of
// the TCP header in X and leaves it there; the length of the packet less header bytes is at size after the
// offset of IP. A length of 0 is one above 64 KiB.
func notEmpty(size, header uint32) []bpf.Instruction {
	const beginOrEnd = 1 | 2 | 4 // FIN, SYN, RST
	return []bpf.Instruction{
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: beginOrEnd, SkipTrue: 16},
		bpf.TXA{},
		bpf.StoreScratch{N: memSrc}, // it is free yet
		bpf.LoadIndirect{Off: 12, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.StoreScratch{N: memData},
		bpf.LoadScratch{Dst: bpf.RegX, N: memIP},
		bpf.LoadIndirect{Off: size, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 5},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: header},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.LoadScratch{Dst: bpf.RegX, N: memData},
		bpf.JumpIfX{Cond: bpf.JumpNotEqual, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadScratch{Dst: bpf.RegX, N: memSrc},
	}
}

// matchPorts expects the offset of the TCP header in X. Addresses are at src and dst after that of IP.
func matchPorts(services []capture.Service, version func(netip.Addr) bool, src, dst uint32) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadIndirect{Off: 0, Size: 2}, bpf.StoreScratch{N: memSrc},
		bpf.LoadIndirect{Off: 2, Size: 2}, bpf.StoreScratch{N: memDst},
		bpf.LoadScratch{Dst: bpf.RegX, N: memIP},
	}
	for _, s := range services {
		addr := s.Addr.Unmap()
		if addr.IsValid() && !version(addr) {
			continue
		}
		p = append(p, side(memDst, s.Port, dst, addr)...)
		p = append(p, side(memSrc, s.Port, src, addr)...)
	}
	return append(p, bpf.RetConstant{Val: 0})
}

// side lets a packet through whose port in memory is port and whose address at off is addr, if that is set.
func side(memory int, port uint16, off uint32, addr netip.Addr) []bpf.Instruction {
	words := addr.AsSlice() // empty without an address
	rest := uint8(len(words)/4*2 + 1)
	p := []bpf.Instruction{bpf.LoadScratch{N: memory}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: rest}}
	for ; len(words) > 0; words, off = words[4:], off+4 {
		rest -= 2
		p = append(p, bpf.LoadIndirect{Off: off, Size: 4}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(words), SkipTrue: rest})
	}
	return append(p, bpf.RetConstant{Val: everything})
}
