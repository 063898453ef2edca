package tcx

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/asm"
)

const (
	protoIPv4 = 0x0800
	protoIPv6 = 0x86dd
	protoVLAN = 0x8100
	protoQinQ = 0x88a8

	nextTCP = 6
)

// Headers of IPv6 that may stand before TCP and say their own length: hop-by-hop, routing, destination,
// mobility. Behind the others, a fragment's and that of authentication, is no TCP header that could be read.
var (
	stepsOver = []int32{0, 43, 60, 135}
	stopsAt   = []int32{44, 51}
)

// maxSteps is how many of them are stepped over; RFC 8200 has use for four.
const maxSteps = 4

// network gives a number of two bytes the value it has when loaded from a packet.
func network(n uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)))
}

// load copies n bytes at offset from of the packet to the stack.
func load(at int32, from asm.Register, n int32, short string) asm.Instructions {
	return code(
		asm.Mov.Reg(asm.R1, ctx),
		asm.Mov.Reg(asm.R2, from),
		stack(asm.R3, at),
		asm.Mov.Imm(asm.R4, n),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, short),
	)
}

// host is a number of two bytes that came in network order. The mask is for the kernel's check, which does
// not follow what a swap does to bounds.
func host(r asm.Register) asm.Instructions {
	return code(asm.HostTo(asm.BE, r, asm.Half), asm.And.Imm(r, 0xffff))
}

// findIP steps over the tags that are still in the packet. Those the card took off are not in it.
func findIP(link int32) asm.Instructions {
	all := code(
		asm.Mov.Imm(ip, link),
		asm.LoadMem(size, ctx, skbProtocol, asm.Word),
	)
	for i := range 2 {
		tag := fmt.Sprintf("tag%d", i)
		all = append(all, code(
			asm.JEq.Imm(size, network(protoVLAN), tag),
			asm.JNE.Imm(size, network(protoQinQ), "untagged"),
			label(tag, load(atVLAN, ip, 4, "out")),
			asm.LoadMem(size, asm.RFP, atVLAN+2, asm.Half),
			asm.Add.Imm(ip, 4),
		)...)
	}
	return append(all, code(
		asm.JEq.Imm(size, network(protoIPv6), "ipv6").WithSymbol("untagged"),
		asm.JNE.Imm(size, network(protoIPv4), "out"),
	)...)
}

func readIPv4() asm.Instructions {
	return code(
		load(atIP, ip, 20, "unparsed"),
		asm.LoadMem(asm.R1, asm.RFP, atIP+9, asm.Byte),
		asm.JNE.Imm(asm.R1, nextTCP, "out"),
		asm.LoadMem(asm.R1, asm.RFP, atIP+6, asm.Half),
		asm.And.Imm(asm.R1, network(0x3fff)), // more fragments, or not the first
		asm.JNE.Imm(asm.R1, 0, "unparsed"),
		asm.LoadMem(asm.R1, asm.RFP, atIP+12, asm.Word),
		asm.StoreMem(asm.RFP, atSource, asm.R1, asm.DWord),
		asm.LoadMem(asm.R1, asm.RFP, atIP+16, asm.Word),
		asm.StoreMem(asm.RFP, atDest, asm.R1, asm.DWord),
		asm.LoadMem(size, asm.RFP, atIP+2, asm.Half),
		host(size),
		asm.LoadMem(tcp, asm.RFP, atIP, asm.Byte),
		asm.And.Imm(tcp, 0xf),
		asm.LSh.Imm(tcp, 2),
		asm.Add.Reg(tcp, ip),
		asm.Ja.Label("parsed"),
	)
}

// readIPv6 looks for TCP behind up to maxSteps headers. R8 is the kind of the header at R9 meanwhile.
func readIPv6() asm.Instructions {
	const kind, at = size, tcp
	all := label("ipv6", code(
		load(atIP, ip, 40, "unparsed"),
		foldAddress(atIP+8, atSource),
		foldAddress(atIP+24, atDest),
		asm.LoadMem(kind, asm.RFP, atIP+6, asm.Byte),
		asm.Mov.Reg(at, ip),
		asm.Add.Imm(at, 40),
	))
	for i := range maxSteps {
		step := fmt.Sprintf("step%d", i)
		all = append(all, asm.JEq.Imm(kind, nextTCP, "found"))
		for _, h := range stepsOver {
			all = append(all, asm.JEq.Imm(kind, h, step))
		}
		all = append(all, code(
			asm.Ja.Label("end"),
			label(step, load(atTCP, at, 2, "unparsed")),
			asm.LoadMem(kind, asm.RFP, atTCP, asm.Byte),
			asm.LoadMem(asm.R1, asm.RFP, atTCP+1, asm.Byte), // in 8 bytes, without the first 8
			asm.LSh.Imm(asm.R1, 3),
			asm.Add.Imm(asm.R1, 8),
			asm.Add.Reg(at, asm.R1),
		)...)
	}
	all = append(all, asm.JEq.Imm(kind, nextTCP, "found"))
	for _, h := range stepsOver {
		all = append(all, asm.JEq.Imm(kind, h, "unparsed")) // one more
	}
	return append(all, code(
		asm.JEq.Imm(kind, stopsAt[0], "stop").WithSymbol("end"),
		asm.JNE.Imm(kind, stopsAt[1], "out"),
		label("stop", load(atTCP, at, 1, "unparsed")),
		asm.LoadMem(asm.R1, asm.RFP, atTCP, asm.Byte),
		asm.JEq.Imm(asm.R1, nextTCP, "unparsed"),
		asm.Ja.Label("out"),
		asm.LoadMem(size, asm.RFP, atIP+4, asm.Half).WithSymbol("found"),
		host(size),
		asm.JEq.Imm(size, 0, "parsed"),
		asm.Add.Imm(size, 40),
	)...)
}

// checkLength reads the TCP header and sees to it that size is within the packet. A length of 0 is what the
// stack writes when it has joined packets to more than the field can say (BIG TCP).
func checkLength() asm.Instructions {
	return label("parsed", code(
		asm.LoadMem(asm.R1, ctx, skbLen, asm.Word),
		asm.Sub.Reg(asm.R1, ip),
		asm.JNE.Imm(size, 0, "told"),
		asm.Mov.Reg(size, asm.R1),
		asm.JGT.Reg(size, asm.R1, "unparsed").WithSymbol("told"),
		asm.JLT.Imm(size, 40, "unparsed"),
		load(atTCP, tcp, 20, "unparsed"),
	))
}
