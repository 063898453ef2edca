package sockmap

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/redlane/redlane/internal/bpfasm"
)

var code, label, stack = bpfasm.Code, bpfasm.Label, bpfasm.Stack

// What both programs are made of. Their stack, down from the frame pointer:
const (
	atOwn   = -40  // tuple of this socket
	atPeer  = -80  // tuple of its peer
	atCount = -88  // key of counters: 0
	atSeq   = -96  // a sequence number of the peer
	atQueue = -160 // redirect.go: the peer's fields from rmemAlloc to rcvBuf

	atValue = -144 // admit.go: a new value of conns
	atPlace = -168 // admit.go: key of services
	atPID   = -176 // admit.go: who is running

	queueSize = atSeq - atQueue
)

const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// offsets are where a program's context has the names of the socket's ends. Remote ports are in network
// order there, local ports are not.
type offsets struct {
	family, remoteIP4, localIP4, remoteIP6, localIP6, remotePort, localPort int16
}

// tuples writes the tuples of this socket and of its peer from the context in R6, and leaves the local
// port in R3 and the remote one in R4. It goes to out for other families than IP's.
func tuples(c offsets, out string) asm.Instructions {
	const a, b, lport, rport = asm.R1, asm.R2, asm.R3, asm.R4
	put := func(local, remote asm.Register, localAt, remoteAt int16, size asm.Size) asm.Instructions {
		return code(
			asm.StoreMem(asm.RFP, atOwn+localAt, local, size),
			asm.StoreMem(asm.RFP, atOwn+remoteAt, remote, size),
			asm.StoreMem(asm.RFP, atPeer+localAt, remote, size),
			asm.StoreMem(asm.RFP, atPeer+remoteAt, local, size),
		)
	}
	address := func(local, remote asm.Register, at int16, size asm.Size) asm.Instructions {
		return put(local, remote, tupleLocal+at, tupleRemote+at, size)
	}
	ipv6 := asm.Instructions{}
	for at := int16(0); at < 16; at += 4 {
		ipv6 = append(ipv6, code(
			asm.LoadMem(a, asm.R6, c.localIP6+at, asm.Word),
			asm.LoadMem(b, asm.R6, c.remoteIP6+at, asm.Word),
			address(a, b, at, asm.Word),
		)...)
	}
	mapped := int32(binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff})) // ::ffff:a.b.c.d
	return code(
		asm.LoadMem(a, asm.R6, c.family, asm.Word),
		asm.JEq.Imm(a, familyIPv6, "ipv6"),
		asm.JNE.Imm(a, familyIPv4, out),
		asm.Mov.Imm(a, 0),
		address(a, a, 0, asm.DWord),
		asm.Mov.Imm32(a, mapped),
		address(a, a, 8, asm.Word),
		asm.LoadMem(a, asm.R6, c.localIP4, asm.Word),
		asm.LoadMem(b, asm.R6, c.remoteIP4, asm.Word),
		address(a, b, 12, asm.Word),
		asm.Ja.Label("ports"),
		label("ipv6", ipv6),
		asm.LoadMem(lport, asm.R6, c.localPort, asm.Word).WithSymbol("ports"),
		asm.LoadMem(rport, asm.R6, c.remotePort, asm.Word),
		asm.HostTo(asm.BE, rport, asm.Word),
		put(lport, rport, tupleLocalPort, tupleRemotePort, asm.Word),
	)
}

// lookup leaves the address of the value in R0, or 0.
func lookup(m *ebpf.Map, key asm.Instructions) asm.Instructions {
	return code(asm.LoadMapPtr(asm.R1, m.FD()), key, asm.FnMapLookupElem.Call())
}

// peek copies size bytes at off of the tcp_sock whose address is in sock. The address may be that of a
// socket that has gone meanwhile; then what is read means nothing, and so does the connection.
func peek(at int32, size int32, sock asm.Register, off int16) asm.Instructions {
	return code(
		stack(asm.R1, at),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, sock),
		asm.Add.Imm(asm.R3, int32(off)),
		asm.FnProbeReadKernel.Call(),
	)
}

// decide makes the state of conn what is wanted, if nobody has decided, and leaves what it was in R0.
func decide(conn asm.Register, state int32) asm.Instructions {
	return code(
		asm.Mov.Imm(asm.R0, stateOpen),
		asm.Mov.Imm(asm.R1, state),
		asm.CmpXchg.Mem(conn, asm.R1, asm.Word, connState),
	)
}

// count adds to one of this CPU's counters. It uses all registers up to R5; next is where it goes on.
func count(m *ebpf.Map, at int16, next string) asm.Instructions {
	return code(
		counters(m, next),
		asm.Mov.Imm(asm.R1, 1),
		add(asm.R0, at, asm.R1),
	)
}

func counters(m *ebpf.Map, none string) asm.Instructions {
	return code(
		asm.StoreImm(asm.RFP, atCount, 0, asm.Word),
		lookup(m, stack(asm.R2, atCount)),
		asm.JEq.Imm(asm.R0, 0, none),
	)
}

// add is atomic: a program can be interrupted by one that counts on the same CPU.
func add(p asm.Register, at int16, n asm.Register) asm.Instruction {
	return asm.AddAtomic.Mem(p, n, asm.DWord, at)
}
