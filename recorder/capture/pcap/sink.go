package pcap

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// mss is the payload of one segment written: an Ethernet's 1500 bytes less the headers of IPv6 and TCP.
const mss = 1440

// maxOpen bounds the sessions that are written at a time. The one that was silent for longest is closed to make
// room; its next exchange opens a connection again.
const maxOpen = 1 << 14

// A sink writes each session as one TCP connection with nanosecond times: the handshake at its first request,
// requests and responses in segments when they were, and the FINs at the end. Addresses are the recorded ones;
// a session without them gets some of 10.0.0.0/8.
type sink struct {
	buf   *bufio.Writer
	w     *pcapgo.Writer
	err   error
	talks map[uint64]*talk
	used  map[[2]netip.AddrPort]bool // by talks
	turn  uint64                     // counts puts, for the age of talks
	out   gopacket.SerializeBuffer
	bytes [2][]byte
	msg   codec.Writer
	notes codec.Notes
}

// A talk is one connection that is being written.
type talk struct {
	addr [2]netip.AddrPort // client, server
	seq  [2]uint32         // next of each
	now  int64
	used uint64
}

// NewSink writes a capture to w. Close finishes it and does not close w. What a capture cannot hold as it was,
// such as bodies that were cut, is refused with a *codec.Refusal.
func NewSink(w io.Writer) traffic.Sink {
	s := &sink{buf: bufio.NewWriterSize(w, 256<<10), talks: make(map[uint64]*talk), used: make(map[[2]netip.AddrPort]bool), out: gopacket.NewSerializeBuffer()}
	s.w = pcapgo.NewWriterNanos(s.buf)
	s.err = s.w.WriteFileHeader(maxFrame, layers.LinkTypeRaw)
	s.msg = codec.Writer{Notes: &s.notes}
	return s
}

// Notes say what was not written as it was.
func (s *sink) Notes() codec.Notes { return s.notes }

// Put writes x into the connection of its session.
func (s *sink) Put(_ context.Context, x *traffic.Exchange) (err error) {
	switch {
	case s.err != nil:
		return s.err
	case x.Flags.Has(traffic.FlagOpaque):
		return &codec.Refusal{Why: "opaque"}
	case x.Flags.Has(traffic.FlagRequestCut | traffic.FlagResponseCut):
		return &codec.Refusal{Why: "cut"}
	case x.Start < 0 || x.Start/1e9 > 1<<32-1: // seconds have 32 bits
		return &codec.Refusal{Why: "time"}
	}
	if s.bytes[0], err = s.msg.Request(s.bytes[0][:0], &x.Request, false); err != nil {
		return err
	}
	s.bytes[1] = s.bytes[1][:0]
	if x.Flags.Has(traffic.FlagContinued) {
		s.bytes[1] = append(s.bytes[1], "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
	ends := true
	if x.Response.Status != 0 {
		at := len(s.bytes[1])
		if s.bytes[1], err = s.msg.Response(s.bytes[1], &x.Response, x.Request.Method, false); err != nil {
			return err
		}
		ends = endsConnection(x, s.bytes[1][at:])
	}
	if x.Flags.Has(traffic.FlagInterim) {
		s.notes.Note(codec.NoteInterim)
	}
	t := s.talk(x)
	t.now = max(t.now, x.Start)
	s.send(t, 0, s.bytes[0])
	t.now = max(t.now, x.Start+int64(x.FirstByte))
	answer := s.bytes[1]
	if k := min(len(answer), mss); x.Latency > x.FirstByte && len(answer) > k {
		s.send(t, 1, answer[:k])
		answer = answer[k:]
	}
	if x.Latency > x.FirstByte && len(answer) > 1 && len(answer) <= mss { // the last byte when it came
		s.send(t, 1, answer[:len(answer)-1])
		answer = answer[len(answer)-1:]
	}
	t.now = max(t.now, x.Start+int64(x.Latency))
	s.send(t, 1, answer)
	s.segment(t, 0, layers.TCP{ACK: true}, nil)
	if ends {
		s.close(x.Session, t, !x.Flags.Has(traffic.FlagDownstreamClosed))
	}
	for i := range s.bytes {
		if cap(s.bytes[i]) > 4<<20 {
			s.bytes[i] = nil
		}
	}
	return s.err
}

// endsConnection reports whether nothing can follow the response on its connection: it is the end that ends
// its body, or it says so, or what follows is another protocol.
func endsConnection(x *traffic.Exchange, wire []byte) bool {
	m := &x.Response
	if m.Status == 101 || x.Flags.Has(traffic.FlagUpgraded) {
		return true
	}
	if m.Minor == 0 && !traffic.EqualFold(m.Get("connection"), "keep-alive") || traffic.EqualFold(m.Get("connection"), "close") {
		return true
	}
	bodiless := m.Status < 200 || m.Status == 204 || m.Status == 304 || string(x.Request.Method) == "HEAD"
	return !bodiless && m.Get("content-length") == nil && (m.Minor == 0 || m.Get("transfer-encoding") == nil) && len(wire) > 0
}

// talk is the connection of x's session, opened where it is not.
func (s *sink) talk(x *traffic.Exchange) *talk {
	s.turn++
	if t := s.talks[x.Session]; t != nil {
		t.used = s.turn
		return t
	}
	if len(s.talks) >= maxOpen {
		for _, session := range s.byAge()[:maxOpen/2] {
			s.close(session, s.talks[session], false)
		}
	}
	// Where the numbers begin tells connections of the same ports apart.
	first := traffic.RequestID(binary.LittleEndian.AppendUint64(nil, x.Session^x.Seq<<48))
	t := &talk{addr: s.addresses(x), seq: [2]uint32{uint32(first), uint32(first >> 32)}, now: x.Start, used: s.turn}
	s.used[t.addr] = true
	s.talks[x.Session] = t
	s.segment(t, 0, layers.TCP{SYN: true}, nil)
	s.segment(t, 1, layers.TCP{SYN: true, ACK: true}, nil)
	s.segment(t, 0, layers.TCP{ACK: true}, nil)
	return t
}

// addresses are those of x, or others where it has none or another session is using them.
func (s *sink) addresses(x *traffic.Exchange) [2]netip.AddrPort {
	a := [2]netip.AddrPort{unmapped(x.SrcAddr), unmapped(x.DstAddr)}
	if a[0].IsValid() && a[1].IsValid() && a[0].Addr().Is4() == a[1].Addr().Is4() && a[0] != a[1] && !s.used[a] {
		return a
	}
	s.notes.Note("addresses made up")
	for n := x.Session; ; n++ {
		a = [2]netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 32), byte(n >> 24), byte(n >> 16)}), uint16(n)|1<<15),
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 255, 255, 254}), 80),
		}
		if !s.used[a] {
			return a
		}
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// send writes data of one end in segments.
func (s *sink) send(t *talk, from int, data []byte) {
	for i := 0; len(data) > 0; i++ {
		n := min(mss, len(data))
		s.segment(t, from, layers.TCP{ACK: true, PSH: n == len(data)}, data[:n])
		if data = data[n:]; i%2 == 1 {
			s.segment(t, 1-from, layers.TCP{ACK: true}, nil)
		}
	}
}

// close writes the end of a connection.
func (s *sink) close(session uint64, t *talk, serverFirst bool) {
	first := 0
	if serverFirst {
		first = 1
	}
	s.segment(t, first, layers.TCP{ACK: true, FIN: true}, nil)
	s.segment(t, 1-first, layers.TCP{ACK: true, FIN: true}, nil)
	s.segment(t, first, layers.TCP{ACK: true}, nil)
	delete(s.talks, session)
	delete(s.used, t.addr)
}

// segment writes one packet.
func (s *sink) segment(t *talk, from int, tcp layers.TCP, data []byte) {
	if s.err != nil {
		return
	}
	src, dst := t.addr[from], t.addr[1-from]
	tcp.SrcPort, tcp.DstPort, tcp.Window, tcp.Seq = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port()), 65535, t.seq[from]
	if tcp.ACK {
		tcp.Ack = t.seq[1-from]
	}
	t.seq[from] += uint32(len(data))
	if tcp.SYN || tcp.FIN {
		t.seq[from]++
	}
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	var err error
	if src.Addr().Is4() {
		ip := layers.IPv4{Version: 4, IHL: 5, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		_ = tcp.SetNetworkLayerForChecksum(&ip) // fails for other layers only
		err = gopacket.SerializeLayers(s.out, opts, &ip, &tcp, gopacket.Payload(data))
	} else {
		ip := layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		_ = tcp.SetNetworkLayerForChecksum(&ip)
		err = gopacket.SerializeLayers(s.out, opts, &ip, &tcp, gopacket.Payload(data))
	}
	b := s.out.Bytes()
	if err == nil {
		err = s.w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, t.now), CaptureLength: len(b), Length: len(b)}, b)
	}
	s.err = err
}

// Close ends the connections that are open, in the order they were used last.
func (s *sink) Close() error {
	for _, session := range s.byAge() {
		s.close(session, s.talks[session], false)
	}
	if err := s.buf.Flush(); s.err == nil {
		s.err = err
	}
	return s.err
}

// byAge is the sessions that are open, those used longest ago first.
func (s *sink) byAge() []uint64 {
	open := slices.Collect(maps.Keys(s.talks))
	slices.SortFunc(open, func(a, b uint64) int { return cmp.Compare(s.talks[a].used, s.talks[b].used) })
	return open
}
