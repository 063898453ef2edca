package sockmap

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// struct bpf_sock_ops of linux/bpf.h.
var opsContext = offsets{family: 20, remoteIP4: 24, localIP4: 28, remoteIP6: 32, localIP6: 48, remotePort: 64, localPort: 68}

const (
	opsOp       = 0
	opsNewState = 8 // args[1]
	opsFlags    = 84
	opsSock     = 184

	opConnect = 3  // connect was called
	opActive  = 4  // it has succeeded
	opPassive = 5  // and here is the other end, for accept
	opState   = 10 // see opsNewState

	stateClosed = 7
	wantState   = 4 // BPF_SOCK_OPS_STATE_CB_FLAG
)

// admitProgram runs on what happens to TCP sockets of the cgroup. All it does not want it leaves alone: what
// is not in the proxy's network namespace, not local, or no service of the proxy's.
//
//	connect called     by the proxy, to an endpoint:  conns[…] = {mine.own}
//	     succeeded     to a listener of the proxy:    conns[…] = {theirs.own}
//	                   conns[…] is there:             put the socket into socks
//	other end ready    conns[…] is there, nothing has been written to it:
//	                                                  put the socket into socks, conn.state = local
//	closed             forget conns[…]
//
// The end that connects comes first: its last step of the handshake is what connects the other. So each
// connection begins with an entry that nobody has written to, also where its ports were used before.
func admitProgram(m maps, f fields, self process) asm.Instructions {
	const ctx, conn, tp, key = asm.R6, asm.R7, asm.R8, asm.R9
	isService, wantEvents := service(m, "out"), events(ctx)
	return code(
		asm.Mov.Reg(ctx, asm.R1),
		asm.LoadMem(asm.R2, ctx, opsOp, asm.Word),
		asm.JEq.Imm(asm.R2, opConnect, "tuple"),
		asm.JEq.Imm(asm.R2, opActive, "tuple"),
		asm.JEq.Imm(asm.R2, opPassive, "tuple"),
		asm.JNE.Imm(asm.R2, opState, "out"),
		asm.LoadMem(asm.R2, ctx, opsNewState, asm.Word),
		asm.JNE.Imm(asm.R2, stateClosed, "out"),

		// Addresses say who is who only within one network namespace, and a cgroup may span many.
		asm.Mov.Reg(asm.R1, ctx).WithSymbol("tuple"),
		asm.FnGetNetnsCookie.Call(),
		asm.LoadImm(asm.R1, int64(self.netns), asm.DWord),
		asm.JNE.Reg(asm.R0, asm.R1, "out"),

		tuples(opsContext, "out"),
		asm.JEq.Reg(asm.R3, asm.R4, "out"),
		stack(key, atPeer),
		asm.JGT.Reg(asm.R3, asm.R4, "keyed"),
		stack(key, atOwn),
		asm.LoadMem(asm.R2, ctx, opsOp, asm.Word).WithSymbol("keyed"),
		asm.JEq.Imm(asm.R2, opState, "forget"),
		onThisMachine("out"),
		asm.LoadMem(asm.R1, ctx, opsSock, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "out"),
		asm.FnSkcToTcpSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(tp, asm.R0),
		asm.LoadMem(asm.R2, ctx, opsOp, asm.Word),
		asm.JEq.Imm(asm.R2, opPassive, "passive"),

		isService,
		asm.LoadMem(asm.R2, ctx, opsOp, asm.Word),
		asm.JEq.Imm(asm.R2, opConnect, "connect"),
		asm.JEq.Imm(asm.R1, connectsThere, "active"),
		newConn(m, key),
		asm.JNE.Imm(asm.R0, 0, "refused"),
		lookup(m.conns, code(asm.Mov.Reg(asm.R2, key))),
		asm.JEq.Imm(asm.R0, 0, "refused"),
		asm.Mov.Reg(conn, asm.R0),
		theirHalf(asm.R1, conn, "listens"),
		asm.StoreImm(asm.R1, halfOwn, 1, asm.Word),

		label("active", lookup(m.conns, code(asm.Mov.Reg(asm.R2, key)))),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(conn, asm.R0),
		myHalf(asm.R1, conn, "activeHalf"),
		asm.StoreMem(asm.R1, halfSock, tp, asm.DWord),
		asm.LoadMem(asm.R2, tp, f.writeSeq, asm.Word),
		asm.StoreMem(asm.R1, halfFirst, asm.R2, asm.Word),
		putSocket(m, ctx),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		wantEvents,
		count(m.counters, countSockets, "out"),
		asm.Ja.Label("out"),

		asm.JNE.Imm(asm.R1, connectsThere, "out").WithSymbol("connect"),
		isRunning(self, "out"),
		newConn(m, key),
		asm.JNE.Imm(asm.R0, 0, "refused"),
		lookup(m.conns, code(asm.Mov.Reg(asm.R2, key))),
		asm.JEq.Imm(asm.R0, 0, "refused"),
		myHalf(asm.R1, asm.R0, "connects"),
		asm.StoreImm(asm.R1, halfOwn, 1, asm.Word),
		wantEvents,
		asm.Ja.Label("out"),

		label("passive", lookup(m.conns, code(asm.Mov.Reg(asm.R2, key)))),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(conn, asm.R0),
		myHalf(asm.R1, conn, "passiveHalf"),
		asm.StoreMem(asm.R1, halfSock, tp, asm.DWord),
		asm.LoadMem(asm.R2, tp, f.writeSeq, asm.Word),
		asm.StoreMem(asm.R1, halfFirst, asm.R2, asm.Word),
		theirHalf(asm.R1, conn, "activesHalf"),
		asm.LoadMem(asm.R4, asm.R1, halfSock, asm.DWord),
		peek(atSeq, 4, asm.R4, f.writeSeq),
		asm.JNE.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R1, asm.RFP, atSeq, asm.Word),
		asm.LoadMem(asm.R2, tp, f.rcvNxt, asm.Word),
		asm.JNE.Reg(asm.R1, asm.R2, "out"), // bytes came with the handshake
		putSocket(m, ctx),
		asm.JNE.Imm(asm.R0, 0, "refused"),
		decide(conn, stateLocal),
		asm.JNE.Imm(asm.R0, stateOpen, "late"),
		wantEvents,
		count(m.counters, countSockets, "out"),
		asm.Ja.Label("out"),

		// The peer has written to TCP. Nothing was redirected: this socket can still be what it was.
		asm.LoadMapPtr(asm.R1, m.socks.FD()).WithSymbol("late"),
		stack(asm.R2, atOwn),
		asm.FnMapDeleteElem.Call(),
		asm.Ja.Label("out"),

		label("drop", forget(m, key)),
		label("refused", count(m.counters, countRefused, "out")),
		asm.Ja.Label("out"),

		label("forget", forget(m, key)),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("out"),
		asm.Return(),
	)
}

const (
	admitName = "redlane_admit"
	updateAny = 0
)

// newConn makes or clears the entry of the connection and leaves 0 in R0 when there was room.
func newConn(m maps, key asm.Register) asm.Instructions {
	ins := code(asm.Mov.Imm(asm.R1, 0))
	for at := int16(0); at < connSize; at += 8 {
		ins = append(ins, asm.StoreMem(asm.RFP, atValue+at, asm.R1, asm.DWord))
	}
	return code(ins,
		asm.LoadMapPtr(asm.R1, m.conns.FD()),
		asm.Mov.Reg(asm.R2, key),
		stack(asm.R3, atValue),
		asm.Mov.Imm(asm.R4, updateAny),
		asm.FnMapUpdateElem.Call(),
	)
}

// myHalf and theirHalf point dst, which is not R2 or R3, at a half of conn. Labels have to be unique.
func myHalf(dst, conn asm.Register, unique string) asm.Instructions {
	return half(dst, conn, asm.JLT, unique)
}

func theirHalf(dst, conn asm.Register, unique string) asm.Instructions {
	return half(dst, conn, asm.JGT, unique)
}

func half(dst, conn asm.Register, first asm.JumpOp, unique string) asm.Instructions {
	return code(
		asm.LoadMem(asm.R2, asm.RFP, atOwn+tupleLocalPort, asm.Word),
		asm.LoadMem(asm.R3, asm.RFP, atOwn+tupleRemotePort, asm.Word),
		asm.Mov.Reg(dst, conn),
		first.Reg(asm.R2, asm.R3, unique),
		asm.Add.Imm(dst, halfSize),
		asm.Mov.Imm(asm.R2, 0).WithSymbol(unique),
	)
}

// putSocket puts the socket into socks, where it may replace one whose connection is over.
func putSocket(m maps, ctx asm.Register) asm.Instructions {
	return code(
		asm.Mov.Reg(asm.R1, ctx),
		asm.LoadMapPtr(asm.R2, m.socks.FD()),
		stack(asm.R3, atOwn),
		asm.Mov.Imm(asm.R4, updateAny),
		asm.FnSockHashUpdate.Call(),
	)
}

// events asks to be told of the end, besides what other programs want.
func events(ctx asm.Register) asm.Instructions {
	return code(
		asm.Mov.Reg(asm.R1, ctx),
		asm.LoadMem(asm.R2, ctx, opsFlags, asm.Word),
		asm.Or.Imm(asm.R2, wantState),
		asm.FnSockOpsCbFlagsSet.Call(),
	)
}

// isRunning goes to out unless the proxy runs, whatever its number outside of its PID namespace.
func isRunning(self process, out string) asm.Instructions {
	return code(
		asm.LoadImm(asm.R1, int64(self.pidDev), asm.DWord),
		asm.LoadImm(asm.R2, int64(self.pidIno), asm.DWord),
		stack(asm.R3, atPID),
		asm.Mov.Imm(asm.R4, 8),
		asm.FnGetNsCurrentPidTgid.Call(),
		asm.JNE.Imm(asm.R0, 0, out),
		asm.LoadMem(asm.R1, asm.RFP, atPID+4, asm.Word), // tgid; pid is before it
		asm.JNE.Imm(asm.R1, self.pid, out),
	)
}

func forget(m maps, key asm.Register) asm.Instructions {
	return code(asm.LoadMapPtr(asm.R1, m.conns.FD()), asm.Mov.Reg(asm.R2, key), asm.FnMapDeleteElem.Call())
}

// onThisMachine goes to out unless both ends have the same address, or both one of 127.0.0.0/8: that is how
// the kernel addresses what stays on the machine, unless the caller binds itself to another address.
func onThisMachine(out string) asm.Instructions {
	const a, b = asm.R1, asm.R2
	return code(
		asm.LoadMem(a, asm.RFP, atOwn+tupleLocal, asm.DWord),
		asm.LoadMem(b, asm.RFP, atOwn+tupleRemote, asm.DWord),
		asm.JNE.Reg(a, b, out),
		asm.LoadMem(a, asm.RFP, atOwn+tupleLocal+8, asm.DWord),
		asm.LoadMem(b, asm.RFP, atOwn+tupleRemote+8, asm.DWord),
		asm.JEq.Reg(a, b, "local"),
		asm.LoadMem(a, asm.RFP, atOwn+tupleLocal+12, asm.Byte),
		asm.JNE.Imm(a, 127, out),
		asm.LoadMem(a, asm.RFP, atOwn+tupleRemote+12, asm.Byte),
		asm.JNE.Imm(a, 127, out),
		asm.LoadMem(a, asm.RFP, atOwn+tupleLocal+8, asm.Word),
		asm.LoadMem(b, asm.RFP, atOwn+tupleRemote+8, asm.Word),
		asm.JNE.Reg(a, b, out),
		asm.LoadMem(a, asm.RFP, atOwn+tupleLocal, asm.DWord),
		asm.JNE.Imm(a, 0, out),
		asm.Mov.Imm(a, 0).WithSymbol("local"),
	)
}

// service leaves in R1 what the address connected to is to the proxy, by itself or as a port of every
// address, and goes to out when it is nothing.
func service(m maps, out string) asm.Instructions {
	return code(
		asm.LoadMem(asm.R1, asm.RFP, atOwn+tupleRemote, asm.DWord),
		asm.LoadMem(asm.R2, asm.RFP, atOwn+tupleRemote+8, asm.DWord),
		asm.LoadMem(asm.R3, asm.RFP, atOwn+tupleRemotePort, asm.Word),
		asm.StoreMem(asm.RFP, atPlace, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPlace+8, asm.R2, asm.DWord),
		asm.StoreMem(asm.RFP, atPlace+16, asm.R3, asm.Word),
		lookup(m.services, stack(asm.R2, atPlace)),
		asm.JNE.Imm(asm.R0, 0, "service"),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, atPlace, asm.R1, asm.DWord),
		asm.StoreMem(asm.RFP, atPlace+8, asm.R1, asm.DWord),
		lookup(m.services, stack(asm.R2, atPlace)),
		asm.JEq.Imm(asm.R0, 0, out),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word).WithSymbol("service"),
	)
}

func (m maps) admit(f fields, self process) (*ebpf.Program, error) {
	return load(admitName, ebpf.SockOps, ebpf.AttachCGroupSockOps, admitProgram(m, f, self))
}
