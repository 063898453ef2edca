package testkit

import (
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// A Packet is one that a Talk made.
type Packet struct {
	Time       int64 // Unix nanoseconds
	Data       []byte
	FromServer bool
}

// A Talk makes the packets of one TCP connection as a capture would show them, a microsecond apart. The zero
// values of its fields are useful but for the addresses, which must be of one family.
type Talk struct {
	Client, Server netip.AddrPort
	VLAN           []uint16                     // tags, the outer first
	Extensions     []gopacket.SerializableLayer // between IPv6 and TCP
	Raw            bool                         // packets begin with IP, not with Ethernet
	MSS            int                          // payload of one segment in bytes, 1400
	Clock          int64                        // Unix nanoseconds of the last packet
	Seq            [2]uint32                    // next sequence number of the client and of the server

	Packets []Packet
}

// NewTalk is a connection from 10.0.0.1:40000 to 10.0.0.2:80 whose handshake is done.
func NewTalk() *Talk {
	t := &Talk{Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: netip.MustParseAddrPort("10.0.0.2:80"), Clock: 1_700_000_000_000_000_000, Seq: [2]uint32{1000, 9000}}
	t.Open()
	return t
}

// Open makes the handshake.
func (t *Talk) Open() {
	t.Segment(false, layers.TCP{SYN: true}, nil)
	t.Segment(true, layers.TCP{SYN: true, ACK: true}, nil)
	t.Segment(false, layers.TCP{ACK: true}, nil)
}

// Ask sends data of the client, Answer of the server.
func (t *Talk) Ask(data string) { t.Send(false, []byte(data)) }

// Answer sends data of the server.
func (t *Talk) Answer(data string) { t.Send(true, []byte(data)) }

// Send makes the segments of data, acknowledged every second one as receivers do.
func (t *Talk) Send(fromServer bool, data []byte) {
	mss := t.MSS
	if mss == 0 {
		mss = 1400
	}
	for i := 0; len(data) > 0; i++ {
		n := min(mss, len(data))
		t.Segment(fromServer, layers.TCP{ACK: true, PSH: n == len(data)}, data[:n])
		data = data[n:]
		if i%2 == 1 {
			t.Segment(!fromServer, layers.TCP{ACK: true}, nil)
		}
	}
}

// Close ends the connection: the client, then the server.
func (t *Talk) Close() {
	t.Segment(false, layers.TCP{ACK: true, FIN: true}, nil)
	t.Segment(true, layers.TCP{ACK: true, FIN: true}, nil)
	t.Segment(false, layers.TCP{ACK: true}, nil)
}

// Segment makes one packet with the flags of head and moves the sequence number on.
func (t *Talk) Segment(fromServer bool, head layers.TCP, data []byte) {
	me, peer := 0, 1
	if fromServer {
		me, peer = 1, 0
	}
	head.Seq = t.Seq[me]
	if head.ACK {
		head.Ack = t.Seq[peer]
	}
	t.Seq[me] += uint32(len(data))
	if head.SYN || head.FIN {
		t.Seq[me]++
	}
	t.Clock += 1000
	t.Packets = append(t.Packets, Packet{Time: t.Clock, Data: t.build(fromServer, head, data), FromServer: fromServer})
}

// Say makes one packet with exactly the sequence numbers of head, and changes nothing else.
func (t *Talk) Say(fromServer bool, head layers.TCP, data []byte) {
	t.Clock += 1000
	t.Packets = append(t.Packets, Packet{Time: t.Clock, Data: t.build(fromServer, head, data), FromServer: fromServer})
}

func (t *Talk) build(fromServer bool, tcp layers.TCP, data []byte) []byte {
	from, to := t.Client, t.Server
	if fromServer {
		from, to = to, from
	}
	tcp.SrcPort, tcp.DstPort, tcp.Window = layers.TCPPort(from.Port()), layers.TCPPort(to.Port()), 65535
	var parts []gopacket.SerializableLayer
	kind := layers.EthernetTypeIPv4
	if from.Addr().Is6() {
		kind = layers.EthernetTypeIPv6
	}
	if !t.Raw {
		outer := kind
		if len(t.VLAN) > 0 {
			outer = layers.EthernetTypeDot1Q
		}
		parts = append(parts, &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: outer})
		for i, id := range t.VLAN {
			inner := kind
			if i+1 < len(t.VLAN) {
				inner = layers.EthernetTypeDot1Q
			}
			parts = append(parts, &layers.Dot1Q{VLANIdentifier: id, Type: inner})
		}
	}
	var ip interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	if from.Addr().Is6() {
		next := layers.IPProtocolTCP
		if len(t.Extensions) > 0 {
			next = layers.IPProtocolIPv6Destination
		}
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	} else {
		ip = &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	}
	parts = append(parts, ip)
	parts = append(parts, t.Extensions...)
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		panic("BUG: " + err.Error())
	}
	parts = append(parts, &tcp, gopacket.Payload(data))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		panic("BUG: " + err.Error())
	}
	return buf.Bytes()
}

// Disorder is packets as a bad network and a double capture show them: every seventh twice, every eleventh
// behind its successor. The first three, the handshake, stay.
func Disorder(packets []Packet) (out []Packet) {
	for i, p := range packets {
		out = append(out, p)
		if i < 4 {
			continue
		}
		if i%11 == 0 {
			k := len(out) - 1
			out[k-1], out[k] = out[k], out[k-1]
		}
		if i%7 == 0 {
			out = append(out, p)
		}
	}
	return out
}

// Pieces sends what a Relay saw: in segments of up to MSS bytes, or with r of any size up to that.
func (t *Talk) Pieces(ps []Piece, r *rand.Rand) {
	for _, p := range ps {
		data := p.Data
		for r != nil && len(data) > 0 {
			n := 1 + r.IntN(min(len(data), 1<<r.IntN(12)))
			t.Send(p.FromServer, data[:n])
			data = data[n:]
		}
		t.Send(p.FromServer, data)
	}
}
