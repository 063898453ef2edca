package tcx

// Offsets in struct __sk_buff of linux/bpf.h.
const (
	skbLen      = 0
	skbProtocol = 16 // of what follows the VLAN tags that the card took off, in network order
)

// A record of the ring is a header and the packet from its IP header on.
//
//	0     8      12
//	┌─────┬──────┬───────┬────────┐
//	│time │length│ iface │ packet │   time in ns of CLOCK_MONOTONIC
//	└─────┴──────┴───────┴────────┘
const (
	recTime   = 0
	recLength = 8
	recIface  = 12
	recHeader = 16
)

// classes are the sizes of packet that room is reserved for: the kernel wants to know the size when it checks
// the program. Only the packet's own bytes are copied, so a class costs room in the ring and no time. The
// smallest fit requests and answers with few headers, 1536 what an Ethernet carries, the last but three a
// packet without BIG TCP, with which the kernel joins up to 512 KiB.
var classes = []int32{
	128, 192, 256, 384, 512, 768, 1024, 1536, 3072, 6144, 12288, 24576, 49152, 64<<10 + 64,
	128 << 10, 256 << 10, maxPacket,
}

const maxPacket = 512<<10 + 64

// Offsets of the counters in the value of the map. Packets first, then their bytes from the IP header on.
const (
	countSeen       = 16 * iota // of the ports
	countEmpty                  // no data, and neither begin nor end
	countSampledOut             //
	countCopied                 // into the ring
	countFull                   // no room in the ring
	countTooLong                // longer than maxPacket, or not to be read
	countUnparsed               // ports unknown: fragments, authentication headers, lengths that cannot be
	countKeptConns              // the first packet of a connection; only when sampling
	countLeftConns  = countKeptConns + 8
	countersSize    = countKeptConns + 16
)

// portsSize is one bit for each port.
const portsSize = 1 << 16 / 8

func setPort(bits []byte, port uint16) { bits[port>>3] |= 1 << (port & 7) }
