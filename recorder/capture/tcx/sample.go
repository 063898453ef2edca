package tcx

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf/asm"
)

// A share of connections, out of whole.
type share uint64

const whole = 1 << 32

// Odd numbers whose products spread their factor's bits over all 64.
const (
	spread1 = 0x9e3779b97f4a7c15
	spread2 = 0xd6e8feb86659fd93
)

// foldAddress makes one number of an IPv6 address on the stack, from and to being places there.
func foldAddress(from, to int16) asm.Instructions {
	return code(
		asm.LoadMem(asm.R1, asm.RFP, from, asm.DWord),
		asm.LoadImm(asm.R2, int64Of(spread1), asm.DWord),
		asm.Mul.Reg(asm.R1, asm.R2),
		asm.LoadMem(asm.R2, asm.RFP, from+8, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R2),
		asm.StoreMem(asm.RFP, to, asm.R1, asm.DWord),
	)
}

func fold(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return uint64(binary.NativeEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.NativeEndian.Uint64(b[:8])*spread1 + binary.NativeEndian.Uint64(b[8:])
}

// keeps says whether the program keeps connections between two addresses: the same reckoning in Go.
func (s share) keeps(seed uint64, a, b netip.AddrPort) bool {
	end := func(at netip.AddrPort) uint64 {
		port := uint64(network(at.Port()))
		return mix((port*spread2 + fold(at.Addr())) ^ seed)
	}
	return mix(end(a)+end(b))>>32 < uint64(s)
}

func mix(x uint64) uint64 {
	x *= spread1
	x ^= x >> 32
	x *= spread2
	return x ^ x>>29
}

// mixed is mix of a register. It uses R5.
func mixed(x asm.Register) asm.Instructions {
	return code(
		asm.LoadImm(asm.R5, int64Of(spread1), asm.DWord),
		asm.Mul.Reg(x, asm.R5),
		asm.Mov.Reg(asm.R5, x),
		asm.RSh.Imm(asm.R5, 32),
		asm.Xor.Reg(x, asm.R5),
		asm.LoadImm(asm.R5, int64Of(spread2), asm.DWord),
		asm.Mul.Reg(x, asm.R5),
		asm.Mov.Reg(asm.R5, x),
		asm.RSh.Imm(asm.R5, 29),
		asm.Xor.Reg(x, asm.R5),
	)
}

// sumEnds leaves the sum of both ends of the connection at atKey: the same in both directions, so that what is
// decided by it holds for the connection without anything being kept about it.
func sumEnds(v variant) asm.Instructions {
	if v.share >= whole && v.workers <= 1 {
		return nil
	}
	end := func(dst asm.Register, addr, port int16) asm.Instructions {
		return code(
			asm.LoadMem(dst, asm.RFP, port, asm.Half),
			asm.LoadImm(asm.R5, int64Of(spread2), asm.DWord),
			asm.Mul.Reg(dst, asm.R5),
			asm.LoadMem(asm.R5, asm.RFP, addr, asm.DWord),
			asm.Add.Reg(dst, asm.R5),
			asm.LoadImm(asm.R5, int64Of(v.seed), asm.DWord),
			asm.Xor.Reg(dst, asm.R5),
			mixed(dst),
		)
	}
	return code(
		end(asm.R1, atSource, atTCP),
		end(asm.R2, atDest, atTCP+2),
		asm.Add.Reg(asm.R1, asm.R2),
		asm.StoreMem(asm.RFP, atKey, asm.R1, asm.DWord),
	)
}

// sample lets go of connections that are not drawn, and counts connections.
//
// To count, each connection is remembered by its sum with the first sequence number of its client: the same
// ends with another number are a new connection, a repeated SYN is not. A connection first met in
// its middle has no number. The memory is for the count only and forgets what was idle longest (maps.go).
func (s share) sample(m maps) asm.Instructions {
	if s >= whole {
		return nil
	}
	const left = tcp // 1: left out
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atKey, asm.DWord),
		mixed(asm.R1),
		asm.RSh.Imm(asm.R1, 32),
		asm.Mov.Imm(left, 1),
		asm.LoadImm(asm.R2, int64(s), asm.DWord),
		asm.JGE.Reg(asm.R1, asm.R2, "noted"),
		asm.Mov.Imm(left, 0),
		label("noted", firstNumber()),
		asm.LoadMapPtr(asm.R1, m.connections.FD()),
		stack(asm.R2, atKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "met"),
		asm.LoadMem(asm.R1, asm.RFP, atFirst, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "known"),
		asm.LoadMem(asm.R2, asm.R0, 0, asm.DWord),
		asm.JEq.Reg(asm.R1, asm.R2, "known"),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Ja.Label("count"),

		asm.LoadMapPtr(asm.R1, m.connections.FD()).WithSymbol("met"),
		stack(asm.R2, atKey),
		stack(asm.R3, atFirst),
		asm.Mov.Imm(asm.R4, 1), // BPF_NOEXIST: another CPU may have met it in this moment
		asm.FnMapUpdateElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "known"),

		asm.JEq.Imm(left, 0, "countKept").WithSymbol("count"),
		countOne(countLeftConns),
		asm.Ja.Label("known"),
		label("countKept", countOne(countKeptConns)),
		asm.JEq.Imm(left, 0, "drawn").WithSymbol("known"),
		leave(countSampledOut),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("drawn"),
	)
}

// firstNumber is the sequence number the client begins with, and a bit that tells it from nothing: from the
// packet that asks for a connection, or the one that agrees to it, which names the number after.
func firstNumber() asm.Instructions {
	const syn, synAck = 2, 0x12
	return code(
		asm.Mov.Imm(asm.R2, 0),
		asm.LoadMem(asm.R1, asm.RFP, atTCP+13, asm.Byte),
		asm.And.Imm(asm.R1, synAck),
		asm.LoadMem(asm.R3, asm.RFP, atTCP+4, asm.Word),
		asm.HostTo(asm.BE, asm.R3, asm.Word),
		asm.JEq.Imm(asm.R1, syn, "begins"),
		asm.JNE.Imm(asm.R1, synAck, "unknown"),
		asm.LoadMem(asm.R3, asm.RFP, atTCP+8, asm.Word),
		asm.HostTo(asm.BE, asm.R3, asm.Word),
		asm.Sub.Imm(asm.R3, 1),
		asm.LSh.Imm(asm.R3, 32).WithSymbol("begins"),
		asm.RSh.Imm(asm.R3, 32),
		asm.LoadImm(asm.R2, 1<<32, asm.DWord),
		asm.Or.Reg(asm.R2, asm.R3),
		asm.StoreMem(asm.RFP, atFirst, asm.R2, asm.DWord).WithSymbol("unknown"),
	)
}

func int64Of(u uint64) int64 { return int64(u) }

// of is a part of all connections, above 0 to 1.
func of(part float64) share { return share(part * whole) }
