package uring

import "unsafe"

// What linux/io_uring.h says, as far as this driver uses it. The layouts are part of the kernel's stable
// interface; a test holds the sizes and offsets.

// An sqe asks for one operation.
type sqe struct {
	op      uint8
	flags   uint8
	ioprio  uint16 // accept, recv: their own flags
	fd      int32
	off     uint64
	addr    uint64
	len     uint32
	opFlags uint32 // MSG_*, SOCK_*, poll mask, cancel flags
	user    uint64 // comes back in each cqe
	group   uint16 // of provided buffers
	_       uint16 // personality
	_       uint32 // fixed file
	_       [2]uint64
}

// A cqe is one outcome of an operation.
type cqe struct {
	user  uint64
	res   int32 // what the system call would have returned, an error as -errno
	flags uint32
}

// params go to io_uring_setup and come back with where things lie.
type params struct {
	sqEntries, cqEntries, flags, _, _, features, _ uint32
	_                                              [3]uint32
	sq                                             struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// An enterArg carries the longest time to wait.
type enterArg struct {
	_    uint64 // signal mask
	size uint32 // of a signal mask
	min  uint32 // µs after which fewer outcomes than were asked for will do
	ts   uint64 // address of a timespec
}

type timespec struct{ sec, nsec int64 }

func (t *timespec) address() uint64 { return uint64(uintptr(unsafe.Pointer(t))) }

// A bufEntry offers one buffer. The entry at place 0 carries the ring's tail in its last two bytes.
type bufEntry struct {
	addr uint64
	len  uint32
	id   uint16
	tail uint16
}

// A bufReg registers a ring of provided buffers.
type bufReg struct {
	addr    uint64
	entries uint32
	group   uint16
	_       uint16
	_       [3]uint64
}

// An opProbe is the kernel's answer about one operation.
type opProbe struct {
	op, _ uint8
	flags uint16
	_     uint32
}

type probeHead struct {
	last, n uint8
	_       uint16
	_       [3]uint32
}

const (
	opPollAdd     = 6
	opSendMsg     = 9
	opTimeout     = 11
	opAsyncCancel = 14
	opSend        = 26
	opRecv        = 27

	sqeBufferSelect = 1 << 5

	cqeFBuffer = 1 << 0 // the upper half of flags is the number of a provided buffer
	cqeFMore   = 1 << 1 // the operation goes on

	recvPollFirst = 1 << 0
	recvMultishot = 1 << 1
	pollMultishot = 1 << 0
	cancelAll     = 1 << 0
	cancelAny     = 1 << 2

	setupCQSize       = 1 << 3
	setupSubmitAll    = 1 << 7
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13

	featSingleMmap = 1 << 0
	featNoDrop     = 1 << 1
	featFastPoll   = 1 << 5
	featExtArg     = 1 << 8
	featMinTimeout = 1 << 15 // Linux 6.12

	enterGetEvents = 1 << 0
	enterExtArg    = 1 << 3

	registerProbe   = 8
	registerPbufs   = 22
	unregisterPbufs = 23

	opSupported = 1 << 0

	offRings = 0
	offSQEs  = 0x10000000

	sqeSize = unsafe.Sizeof(sqe{})
	cqeSize = unsafe.Sizeof(cqe{})
)
