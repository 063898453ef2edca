package live

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/capture"
)

// blocks is the mapped ring. The kernel owns a block until it sets its status, then it is the reader's until
// that clears it.
type blocks []byte

func (b blocks) number() int { return len(b) / blockSize }

// A block is one of them.
type block struct {
	memory []byte
	header *unix.TpacketHdrV1
}

func (b blocks) at(i int) block {
	m := b[i*blockSize : (i+1)*blockSize]
	desc := (*unix.TpacketBlockDesc)(unsafe.Pointer(&m[0]))
	return block{m, (*unix.TpacketHdrV1)(unsafe.Pointer(&desc.Hdr))}
}

// ready reports whether the reader owns the block. What the kernel wrote before is visible after.
func (b block) ready() bool {
	return atomic.LoadUint32(&b.header.Block_status)&unix.TP_STATUS_USER != 0
}

// release gives the block back.
func (b block) release() { atomic.StoreUint32(&b.header.Block_status, unix.TP_STATUS_KERNEL) }

// begun is when the kernel opened the block, at or before its first packet, in Unix nanoseconds.
func (b block) begun() int64 {
	return int64(b.header.Ts_first_pkt.Sec)*1e9 + int64(b.header.Ts_first_pkt.Usec) // nanoseconds, by TPACKET_V3
}

// deliver hands every packet of the block over, in order, and returns how many and the time of the last.
func (b block) deliver(to capture.Frames) (n int, last int64) {
	n = int(b.header.Num_pkts)
	at := uint(b.header.Offset_to_first_pkt)
	for range n {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b.memory[at]))
		f := b.frame(at, h)
		last = f.Time
		to.Frame(f)
		at += uint(h.Next_offset)
	}
	return n, last
}

// addressAt is where the kernel puts a packet's link-layer address, after its header.
const addressAt = (unsafe.Sizeof(unix.Tpacket3Hdr{}) + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)

func (b block) frame(at uint, h *unix.Tpacket3Hdr) capture.Frame {
	address := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b.memory[at+uint(addressAt)]))
	begin, end := at+uint(h.Mac), at+uint(h.Mac)+uint(h.Snaplen)
	f := capture.Frame{
		Time: int64(h.Sec)*1e9 + int64(h.Nsec), Link: layers.LinkTypeEthernet,
		Length: int(h.Len), Iface: int(address.Ifindex),
	}
	switch {
	case address.Hatype != unix.ARPHRD_ETHER && address.Hatype != unix.ARPHRD_LOOPBACK:
		// A tunnel or the like: the packet is taken from its IP header on.
		f.Link = layers.LinkTypeRaw
		f.Length -= int(h.Net) - int(h.Mac)
		begin = at + uint(h.Net)
	case h.Status&unix.TP_STATUS_VLAN_VALID != 0 && h.Snaplen >= 14:
		begin = b.putTag(begin, h)
		f.Length += tagSize
	}
	f.Data = b.memory[begin:end:end]
	return f
}

const tagSize = 4

// putTag puts the VLAN tag back that the network card or the kernel took off, so that a frame is what was on
// the wire. It uses the room that the kernel leaves before the packet, 14 bytes at least.
func (b block) putTag(begin uint, h *unix.Tpacket3Hdr) uint {
	copy(b.memory[begin-tagSize:], b.memory[begin:begin+12])
	begin -= tagSize
	tpid := uint16(unix.ETH_P_8021Q)
	if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = h.Hv1.Vlan_tpid
	}
	tci := uint16(h.Hv1.Vlan_tci & math.MaxUint16)
	copy(b.memory[begin+12:], []byte{byte(tpid >> 8), byte(tpid), byte(tci >> 8), byte(tci)})
	return begin
}
