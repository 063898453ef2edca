package sockmap

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// struct sk_msg_md of linux/bpf.h.
var msgContext = offsets{family: 16, remoteIP4: 20, localIP4: 24, remoteIP6: 28, localIP6: 44, remotePort: 60, localPort: 64}

const (
	msgSize = 68
	msgSock = 72

	verdictPass = 1
	toIngress   = 1 // BPF_F_INGRESS
)

// redirectProgram runs on every message an admitted socket writes, with that socket locked:
//
//	conn := conns[…]                       no longer known ──────────────► TCP (alone)
//	conn.state is not decided yet: decide it ────────────────────────────► TCP (alone)
//	a layer above, such as kernel TLS, has the socket's bytes ───────────► TCP (full)
//	peer has not read all that we wrote to TCP ──────────────────────────► TCP (unread)
//	the message does not fit into what the peer has room for:
//	                             of the proxy ───────────────────────────► wait (wall.go)
//	                             of another ─────────────────────────────► TCP (full)
//	peer not in socks ───────────────────────────────────────────────────► TCP (alone)
//	else ────────────────────────────────────────────────────────────────► queue of the peer
//
// Sequence numbers of TCP are the same at both ends, so what the peer has read and what we wrote can be
// compared. Both only grow, and ours not now: the comparison holds whenever it was made.
func redirectProgram(m maps, f fields) asm.Instructions {
	const ctx, mine, theirs, tp, size = asm.R6, asm.R7, asm.R9, asm.R8, asm.R8
	return code(
		asm.Mov.Reg(ctx, asm.R1),
		tuples(msgContext, "tcp"),
		asm.Mov.Imm(mine, 0), // as a distance for now
		stack(asm.R2, atOwn),
		asm.JLT.Reg(asm.R3, asm.R4, "keyed"),
		asm.Mov.Imm(mine, halfSize),
		stack(asm.R2, atPeer),
		asm.LoadMapPtr(asm.R1, m.conns.FD()).WithSymbol("keyed"),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "alone"),
		asm.Mov.Reg(theirs, asm.R0),
		asm.LoadMem(asm.R1, theirs, connState, asm.Word),
		asm.JEq.Imm(asm.R1, stateLocal, "local"),
		decide(theirs, stateTCP),
		asm.JNE.Imm(asm.R0, stateLocal, "alone"),
		asm.Mov.Imm(asm.R1, halfSize).WithSymbol("local"),
		asm.Sub.Reg(asm.R1, mine),
		asm.Add.Reg(mine, theirs),
		asm.Add.Reg(theirs, asm.R1),

		asm.LoadMem(asm.R1, ctx, msgSock, asm.DWord),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "tcp"),
		asm.Mov.Reg(tp, asm.R0),
		asm.LoadMem(asm.R1, tp, f.ulp, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "mix"),

		asm.LoadMem(asm.R1, mine, halfFirst, asm.Word),
		asm.LoadMem(asm.R2, tp, f.writeSeq, asm.Word),
		asm.JEq.Reg(asm.R1, asm.R2, "inOrder"), // nothing went by TCP, ever: as always for the proxy
		asm.LoadMem(asm.R4, theirs, halfSock, asm.DWord),
		peek(atSeq, 4, asm.R4, f.copiedSeq),
		asm.JNE.Imm(asm.R0, 0, "alone"),
		asm.LoadMem(asm.R1, asm.RFP, atSeq, asm.Word),
		asm.LoadMem(asm.R2, tp, f.writeSeq, asm.Word),
		asm.JNE.Reg(asm.R1, asm.R2, "unread"),

		asm.LoadMem(asm.R4, theirs, halfSock, asm.DWord).WithSymbol("inOrder"),
		peek(atQueue, int32(f.rcvBuf-f.rmemAlloc)+4, asm.R4, f.rmemAlloc),
		asm.JNE.Imm(asm.R0, 0, "alone"),
		asm.LoadMem(size, ctx, msgSize, asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.LoadMem(asm.R1, asm.RFP, atQueue, asm.Word),
		asm.JEq.Imm(asm.R1, 0, "fits"),
		asm.LoadMem(asm.R2, mine, halfQueued, asm.Word),
		asm.JGE.Imm(asm.R2, maxWaiting, "full"),
		asm.LoadMem(asm.R3, asm.RFP, atQueue+f.rcvBuf-f.rmemAlloc, asm.Word),
		asm.RSh.Imm(asm.R3, 1),
		asm.JLE.Imm(asm.R3, Window, "room"),
		asm.Mov.Imm(asm.R3, Window),
		asm.Add.Reg(asm.R1, size).WithSymbol("room"),
		asm.JGT.Reg(asm.R1, asm.R3, "full"),
		asm.Add.Imm(asm.R2, 1).WithSymbol("fits"),
		asm.StoreMem(mine, halfQueued, asm.R2, asm.Word),

		asm.Mov.Reg(asm.R1, ctx),
		asm.LoadMapPtr(asm.R2, m.socks.FD()),
		stack(asm.R3, atPeer),
		asm.Mov.Imm(asm.R4, toIngress),
		asm.FnMsgRedirectHash.Call(),
		asm.JNE.Imm(asm.R0, verdictPass, "alone"),
		counters(m.counters, "tcp"),
		asm.Mov.Imm(asm.R1, 1),
		add(asm.R0, countMessages, asm.R1),
		add(asm.R0, countBytes, size),
		asm.Ja.Label("tcp"),

		asm.LoadMem(asm.R1, mine, halfOwn, asm.Word).WithSymbol("full"),
		asm.JNE.Imm(asm.R1, 0, "wait"),
		// From here on the proxy may have bytes in both queues, which its loops have to know before.
		label("mix", code(asm.StoreImm(asm.RFP, atCount, 0, asm.Word), lookup(m.mixed, stack(asm.R2, atCount)))),
		asm.JEq.Imm(asm.R0, 0, "tcp"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		count(m.counters, countFull, "tcp"),
		asm.Ja.Label("tcp"),
		label("alone", count(m.counters, countAlone, "tcp")),
		asm.Ja.Label("tcp"),
		label("unread", count(m.counters, countUnread, "tcp")),
		asm.Ja.Label("tcp"),

		asm.Mov.Imm(asm.R1, 0).WithSymbol("wait"),
		asm.StoreMem(asm.RFP, atPeer, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPeer+8, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPeer+16, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPeer+24, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPeer+32, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, ctx),
		asm.LoadMapPtr(asm.R2, m.socks.FD()),
		stack(asm.R3, atPeer), // now wallKey
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMsgRedirectHash.Call(),
		count(m.counters, countWaited, "tcp"),

		asm.Mov.Imm(asm.R0, verdictPass).WithSymbol("tcp"), // or to the peer, when that was asked for
		asm.Return(),
	)
}

func (m maps) redirect(f fields) (*ebpf.Program, error) {
	return load("redlane_redirect", ebpf.SkMsg, ebpf.AttachSkMsgVerdict, redirectProgram(m, f))
}
