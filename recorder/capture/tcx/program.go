package tcx

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/redlane/redlane/internal/bpfasm"
)

var code, label, stack = bpfasm.Code, bpfasm.Label, bpfasm.Stack

// The program's stack, down from the frame pointer.
const (
	atIP     = -40  // IP header, of IPv4 without options
	atTCP    = -64  // TCP header without options
	atVLAN   = -64  // VLAN tag, before that
	atSource = -72  // source address as one number, see foldAddress
	atDest   = -80  // destination address
	atCounts = -88  // address of the counters
	atKey    = -96  // key of connections
	atFirst  = -104 // value of connections
	atZero   = -112 // key of counters
	atRing   = -120 // address of the ring of this connection, when there are several
	atWorker = -124 // its number
)

// Registers that calls leave alone.
const (
	ctx  = asm.R6
	ip   = asm.R7 // offset of the IP header in the packet
	size = asm.R8 // bytes from there on; before, the protocol that comes next
	tcp  = asm.R9 // offset of the TCP header; later, the record
)

const (
	flagsEnds = 1 | 2 | 4 // FIN, SYN, RST

	noWakeup = 1  // BPF_RB_NO_WAKEUP: Run looks by itself; a wake per packet would cost more than the copy
	next     = -1 // TCX_NEXT: whatever else is attached sees the packet too
)

// A variant is what differs between interfaces and runs; it is compiled in.
type variant struct {
	link  int32 // bytes of link header: 14 for Ethernet
	iface int32
	share share
	seed  uint64

	workers int32
}

// captureProgram runs on every packet. It goes to out as soon as the packet turns out not to be wanted; the
// order is by what sends most packets away for the least work.
func captureProgram(m maps, v variant) asm.Instructions {
	return code(
		asm.Mov.Reg(ctx, asm.R1),
		findIP(v.link),
		readIPv4(),
		readIPv6(),
		checkLength(),
		wantPorts(m),
		countPacket(countSeen),
		wantContent(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("content"),
		sumEnds(v),
		v.share.sample(m),
		findRing(m, v.workers),
		copyPacket(m, v),

		asm.Mov.Imm(asm.R0, next).WithSymbol("out"),
		asm.Return(),

		label("empty", leave(countEmpty)),
		label("full", leave(countFull)),
		label("tooLong", leave(countTooLong)),
		label("unparsed", code(
			loadCounts(m),
			asm.LoadMem(size, ctx, skbLen, asm.Word), // its own word for its length cannot be trusted
			asm.Sub.Reg(size, ip),
			leave(countUnparsed),
		)),
	)
}

// wantPorts goes on when one of the two ports is wanted.
func wantPorts(m maps) asm.Instructions {
	test := func(port asm.Register) asm.Instructions {
		return code(
			host(port),
			asm.LoadMapValue(asm.R3, m.ports.FD(), 0),
			asm.Mov.Reg(asm.R4, port),
			asm.RSh.Imm(asm.R4, 3),
			asm.Add.Reg(asm.R3, asm.R4),
			asm.LoadMem(asm.R3, asm.R3, 0, asm.Byte),
			asm.And.Imm(port, 7),
			asm.RSh.Reg(asm.R3, port),
			asm.And.Imm(asm.R3, 1),
		)
	}
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atTCP+2, asm.Half),
		test(asm.R1),
		asm.JNE.Imm(asm.R3, 0, "wanted"),
		asm.LoadMem(asm.R1, asm.RFP, atTCP, asm.Half),
		test(asm.R1),
		asm.JEq.Imm(asm.R3, 0, "out"),
		label("wanted", loadCounts(m)),
	)
}

// wantContent lets go of what has neither data nor begins or ends a connection: the streams are put together
// by the sequence numbers of what has.
func wantContent() asm.Instructions {
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atTCP+13, asm.Byte),
		asm.And.Imm(asm.R1, flagsEnds),
		asm.JNE.Imm(asm.R1, 0, "content"),
		asm.Mov.Reg(asm.R1, size),
		asm.Add.Reg(asm.R1, ip),
		asm.Sub.Reg(asm.R1, tcp),
		asm.LoadMem(asm.R2, asm.RFP, atTCP+12, asm.Byte),
		asm.RSh.Imm(asm.R2, 4),
		asm.LSh.Imm(asm.R2, 2),
		asm.JSLE.Reg(asm.R1, asm.R2, "empty"),
	)
}

// findRing finds the ring of the worker that this connection is for.
func findRing(m maps, workers int32) asm.Instructions {
	if workers <= 1 {
		return nil
	}
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atKey, asm.DWord),
		mixed(asm.R1),
		asm.Mod.Imm(asm.R1, workers),
		asm.StoreMem(asm.RFP, atWorker, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, m.all.FD()),
		stack(asm.R2, atWorker),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "full"), // cannot be
		asm.StoreMem(asm.RFP, atRing, asm.R0, asm.DWord),
	)
}

// copyPacket reserves room of the first class that is large enough.
func copyPacket(m maps, v variant) asm.Instructions {
	ring := asm.LoadMem(asm.R1, asm.RFP, atRing, asm.DWord)
	if v.workers <= 1 {
		ring = asm.LoadMapPtr(asm.R1, m.rings[0].FD())
	}
	var all asm.Instructions
	for i, class := range classes {
		larger := fmt.Sprintf("class%d", i+1)
		if i == len(classes)-1 {
			larger = "tooLong"
		}
		all = append(all, code(
			asm.JGT.Imm(size, class, larger).WithSymbol(fmt.Sprintf("class%d", i)),
			ring,
			asm.Mov.Imm(asm.R2, class+recHeader),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnRingbufReserve.Call(),
			asm.JEq.Imm(asm.R0, 0, "full"),
			asm.Mov.Reg(tcp, asm.R0),
			asm.Mov.Reg(asm.R1, ctx),
			asm.Mov.Reg(asm.R2, ip),
			asm.Mov.Reg(asm.R3, tcp),
			asm.Add.Imm(asm.R3, recHeader),
			asm.Mov.Reg(asm.R4, size),
			asm.FnSkbLoadBytes.Call(),
			asm.Ja.Label("copied"),
		)...)
	}
	return append(all, code(
		asm.JEq.Imm(asm.R0, 0, "whole").WithSymbol("copied"),
		asm.Mov.Reg(asm.R1, tcp),
		asm.Mov.Imm(asm.R2, noWakeup),
		asm.FnRingbufDiscard.Call(),
		asm.Ja.Label("tooLong"),

		asm.FnKtimeGetNs.Call().WithSymbol("whole"),
		asm.StoreMem(tcp, recTime, asm.R0, asm.DWord),
		asm.StoreMem(tcp, recLength, size, asm.Word),
		asm.StoreImm(tcp, recIface, int64(v.iface), asm.Word),
		asm.Mov.Reg(asm.R1, tcp),
		asm.Mov.Imm(asm.R2, noWakeup),
		asm.FnRingbufSubmit.Call(),
		countPacket(countCopied),
	)...)
}

// loadCounts finds this CPU's counters.
func loadCounts(m maps) asm.Instructions {
	return code(
		asm.StoreImm(asm.RFP, atZero, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.counters.FD()),
		stack(asm.R2, atZero),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.StoreMem(asm.RFP, atCounts, asm.R0, asm.DWord),
	)
}

// countPacket adds the packet to a pair of counters. That need not be atomic: the program runs where nothing
// else that runs it can interrupt it, and each CPU has counters of its own.
func countPacket(at int16) asm.Instructions {
	return code(
		countOne(at),
		asm.LoadMem(asm.R2, asm.R1, at+8, asm.DWord),
		asm.Add.Reg(asm.R2, size),
		asm.StoreMem(asm.R1, at+8, asm.R2, asm.DWord),
	)
}

func countOne(at int16) asm.Instructions {
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atCounts, asm.DWord),
		asm.LoadMem(asm.R2, asm.R1, at, asm.DWord),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R1, at, asm.R2, asm.DWord),
	)
}

func leave(at int16) asm.Instructions { return code(countPacket(at), asm.Ja.Label("out")) }
