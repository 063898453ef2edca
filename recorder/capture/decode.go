package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// LinkLinuxSLL2 is LINKTYPE_LINUX_SLL2, 276, as gopacket hands it on: its LinkType has 8 bits. 20 is no
// link type of its own.
const LinkLinuxSLL2 layers.LinkType = 276 & 0xff

// A packet is what a frame says about a TCP connection.
type packet struct {
	src, dst netip.AddrPort
	seq, ack uint32
	syn, fin bool
	rst      bool
	acks     bool // ack means something
	turn     bool // see conn.inTurn
	safe     bool
	data     []byte // payload as captured
	cut      int    // bytes of payload on the wire behind data that were not captured
	time     int64
}

// A verdict says what became of a frame.
type verdict uint8

const (
	isTCP      verdict = iota
	isOther            // another protocol
	isFragment         // a part of an IP packet: the bytes it held will be missing, and counted as such
	isBroken           // its headers contradict themselves or break off
)

// A decoder takes frames apart. It allocates nothing for a frame in order.
type decoder struct {
	ether layers.Ethernet
	vlan  layers.Dot1Q
	ip4   layers.IPv4
	tcp   layers.TCP
}

// SetTruncated is told by layers that not everything was captured; lengths say it too.
func (*decoder) SetTruncated() {}

// decode fills p from f. Ethernet, VLAN tags, IPv4 and TCP are read by gopacket's layers. The Linux cooked
// headers and IPv6 are read here: layers.LinuxSLL panics on a long address, and layers.IPv6 refuses the
// packets above 64 KiB that the kernel shows on loopback.
func (d *decoder) decode(f *Frame, p *packet) verdict {
	b, kind := f.Data, layers.EthernetType(0)
	switch f.Link {
	case layers.LinkTypeEthernet:
		if d.ether.DecodeFromBytes(b, d) != nil {
			return isBroken
		}
		b, kind = d.ether.Payload, d.ether.EthernetType
	case layers.LinkTypeLinuxSLL:
		if len(b) < 16 {
			return isBroken
		}
		b, kind = b[16:], layers.EthernetType(binary.BigEndian.Uint16(b[14:]))
	case LinkLinuxSLL2:
		if len(b) < 20 {
			return isBroken
		}
		b, kind = b[20:], layers.EthernetType(binary.BigEndian.Uint16(b))
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		if len(b) < 4 {
			return isBroken
		}
		b = b[4:] // the address family differs between systems, the IP version does not
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, 12, 14: // 12 and 14: raw IP of the BSDs
	default:
		return isOther
	}
	for kind == layers.EthernetTypeDot1Q || kind == layers.EthernetTypeQinQ || kind == 0x9100 {
		if d.vlan.DecodeFromBytes(b, d) != nil {
			return isBroken
		}
		b, kind = d.vlan.Payload, d.vlan.Type
	}
	missing := max(0, f.Length-len(f.Data))
	switch {
	case kind == layers.EthernetTypeIPv4, kind == 0 && len(b) > 0 && b[0]>>4 == 4:
		return d.decode4(b, missing, p)
	case kind == layers.EthernetTypeIPv6, kind == 0 && len(b) > 0 && b[0]>>4 == 6:
		return d.decode6(b, missing, p)
	}
	return isOther
}

func (d *decoder) decode4(b []byte, missing int, p *packet) verdict {
	ip := &d.ip4
	if len(b) < 20 {
		return isBroken
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // segmentation offload of more than 64 KiB
		total = len(b) + missing
	}
	if ip.DecodeFromBytes(b, d) != nil || ip.Version != 4 {
		return isBroken
	}
	if ip.Protocol != layers.IPProtocolTCP {
		return isOther
	}
	if ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 {
		return isFragment
	}
	p.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip.SrcIP)), 0)
	p.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip.DstIP)), 0)
	header := int(ip.IHL) * 4
	return d.decodeTCP(b[header:min(len(b), max(header, total))], total-header, p)
}

// IPv6 next headers.
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	authentic   = 51
	destination = 60
	mobility    = 135
)

func (d *decoder) decode6(b []byte, missing int, p *packet) verdict {
	if len(b) < 40 || b[0]>>4 != 6 {
		return isBroken
	}
	total := int(binary.BigEndian.Uint16(b[4:]))
	next := b[6]
	p.src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0)
	p.dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0)
	b = b[40:]
	if total == 0 { // a jumbogram, or segmentation offload of more than 64 KiB
		total = len(b) + missing
	}
	b = b[:min(len(b), total)]
	for {
		size := 0
		switch next {
		case uint8(layers.IPProtocolTCP):
			return d.decodeTCP(b, total, p)
		case fragment:
			if len(b) >= 8 && b[0] != uint8(layers.IPProtocolTCP) {
				return isOther
			}
			return isFragment
		case hopByHop, routing, destination, mobility:
			if len(b) >= 2 {
				size = 8 + int(b[1])*8
			}
		case authentic:
			if len(b) >= 2 {
				size = 8 + int(b[1])*4
			}
		default:
			return isOther
		}
		if size == 0 || size > len(b) {
			return isBroken
		}
		next, b, total = b[0], b[size:], total-size
	}
}

// decodeTCP reads b, the captured part of a segment of total bytes.
func (d *decoder) decodeTCP(b []byte, total int, p *packet) verdict {
	t := &d.tcp
	if total < 20 || t.DecodeFromBytes(b, d) != nil {
		return isBroken
	}
	p.src = netip.AddrPortFrom(p.src.Addr(), uint16(t.SrcPort))
	p.dst = netip.AddrPortFrom(p.dst.Addr(), uint16(t.DstPort))
	p.seq, p.ack = t.Seq, t.Ack
	p.syn, p.fin, p.rst, p.acks = t.SYN, t.FIN, t.RST, t.ACK
	p.data, p.cut = t.Payload, total-len(b)
	return isTCP
}
