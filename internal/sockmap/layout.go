package sockmap

import (
	"encoding/binary"
	"net/netip"
)

// Window is how many bytes may wait, redirected, for one reader; half the reader's receive buffer when that
// is less. A message that finds nothing waiting may be larger: the kernel cuts them at about 512 KiB.
const Window = 256 << 10

// maxWaiting is how many messages may. Each costs the kernel about 1 KiB besides its bytes, so that a window
// full of one-byte messages would take a thousand times its size.
const maxWaiting = 256

const (
	maxConns    = 1 << 16
	maxServices = 1 << 12
)

// A tuple is how one socket calls itself and its peer; the key of socks. IPv4 is written as IPv6 maps it,
// because one end of a connection may be a socket of either kind. Addresses are in network order.
//
//	0      16      32    36    40
//	┌──────┬───────┬─────┬─────┐
//	│local │remote │lport│rport│
//	└──────┴───────┴─────┴─────┘
//
// The key of conns is the tuple of the end with the lower port: the same for both ends. Connections between
// equal ports are not admitted.
const (
	tupleLocal      = 0
	tupleRemote     = 16
	tupleLocalPort  = 32
	tupleRemotePort = 36
	tupleSize       = 40
)

// The value of conns is two halves, that of the lower port first. Each is written by its own socket alone,
// under that socket's lock, but for state, which is the first half's and about both.
//
//	0      8       12    16     20
//	┌──────┬───────┬─────┬──────┬──────┐
//	│ sock │ queued│ own │ state│ first│
//	└──────┴───────┴─────┴──────┴──────┘
const (
	halfSock   = 0  // where the kernel has it; 0: not connected yet
	halfQueued = 8  // messages it redirected since its peer had nothing to read
	halfOwn    = 12 // 1: it is the proxy's
	halfFirst  = 20 // TCP sequence number of its first byte
	halfSize   = 24
	connState  = 16
	connSize   = 2 * halfSize
)

// The state of a connection is decided once, by whoever comes first: the end that was connected to, when it
// is admitted, or the end that connects, when it has something to write before.
const (
	stateOpen  = 0
	stateLocal = 1 // both are admitted
	stateTCP   = 2 // no message will be redirected
)

// What an address is to the proxy; the value of services.
const (
	listensThere  = 1
	connectsThere = 2
)

// serviceSize is the size of a key of services: an address like a tuple's and a port.
const serviceSize = 20

func serviceKey(a netip.AddrPort) (k [serviceSize]byte) {
	ip := a.Addr().As16()
	if a.Addr().IsUnspecified() {
		ip = [16]byte{} // 0.0.0.0 and [::] are one: any address
	}
	copy(k[:], ip[:])
	binary.NativeEndian.PutUint32(k[16:], uint32(a.Port()))
	return k
}

// Counters say what became of messages and connections since the start.
type Counters struct {
	Messages uint64 // redirected
	Bytes    uint64 // of them

	// Waited is how often the proxy was told to wait: its peer had not read enough.
	Waited uint64

	// Messages that went by TCP, by the reason why.
	Unread uint64 // the proxy may not have read what came by TCP before
	Full   uint64 // the proxy had too much to read
	Alone  uint64 // the peer is not admitted, or has gone

	Sockets uint64 // admitted
	Refused uint64 // not admitted for want of room, or because another program has them
}

// Offsets of the counters in the value of the map.
const (
	countMessages = 8 * iota
	countBytes
	countWaited
	countUnread
	countFull
	countAlone
	countSockets
	countRefused
	countersSize
)
