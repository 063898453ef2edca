package capture

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/traffic"
)

// Every way IP packets stand in a capture.
func TestLinkLayers(t *testing.T) {
	f := func(change func(talk *testkit.Talk), link layers.LinkType, wrap func(ip []byte) []byte) {
		t.Helper()
		talk := testkit.NewTalk()
		talk.Packets = nil
		talk.Seq = [2]uint32{1, 1}
		change(talk)
		talk.Open()
		talk.Ask(get)
		talk.Answer(ok)
		w := newWitness(t)
		a, err := New(Config{Services: web, Tap: w})
		require.NoError(t, err)
		for _, p := range talk.Packets {
			b := wrap(p.Data)
			a.Frame(Frame{Time: p.Time, Link: link, Data: b, Length: len(b)})
		}
		a.End()
		s := balanced(t, a, w)
		says(t, w, `GET /a ""> 200 "hi" -`)
		require.EqualValues(t, len(talk.Packets), s.Segments)
	}
	same := func(b []byte) []byte { return b }
	front := func(head ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return append(append([]byte(nil), head...), b...) }
	}
	raw := func(talk *testkit.Talk) { talk.Raw = true }
	six := func(talk *testkit.Talk) {
		talk.Client, talk.Server = netip.MustParseAddrPort("[fd00::1]:40000"), netip.MustParseAddrPort("[fd00::2]:80")
	}
	f(func(*testkit.Talk) {}, layers.LinkTypeEthernet, same)
	f(func(talk *testkit.Talk) { talk.VLAN = []uint16{1} }, layers.LinkTypeEthernet, same)
	f(func(talk *testkit.Talk) { talk.VLAN = []uint16{1, 2} }, layers.LinkTypeEthernet, func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[12:], 0x88a8)
		return b
	})
	f(six, layers.LinkTypeEthernet, same)
	f(func(talk *testkit.Talk) {
		six(talk)
		talk.Extensions = []gopacket.SerializableLayer{gopacket.Payload{uint8(layers.IPProtocolTCP), 0, 1, 4, 0, 0, 0, 0}}
	}, layers.LinkTypeEthernet, same)
	f(raw, layers.LinkTypeRaw, same)
	f(raw, layers.LinkTypeIPv4, same)
	f(func(talk *testkit.Talk) { raw(talk); six(talk) }, layers.LinkTypeRaw, same)
	f(raw, layers.LinkTypeNull, front(2, 0, 0, 0))
	f(raw, layers.LinkTypeLoop, front(0, 0, 0, 2))
	f(raw, layers.LinkTypeLinuxSLL, front(0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0))
	f(raw, LinkLinuxSLL2, front(8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0))
	f(func(*testkit.Talk) {}, layers.LinkTypeEthernet, func(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0) }) // padding
	f(func(*testkit.Talk) {}, layers.LinkTypeEthernet, func(b []byte) []byte {                                       // a packet above 64 KiB has no length
		if len(b) > 80 {
			binary.BigEndian.PutUint16(b[16:], 0)
		}
		return b
	})
	f(six, layers.LinkTypeEthernet, func(b []byte) []byte {
		if len(b) > 80 {
			binary.BigEndian.PutUint16(b[18:], 0)
		}
		return b
	})
}

// What is not read is counted as what it is.
func TestOtherFrames(t *testing.T) {
	talk := testkit.NewTalk()
	talk.Ask(get)
	frames := func(change func(b []byte) []byte) Stats {
		w := newWitness(t)
		a, err := New(Config{Services: web, Tap: w})
		require.NoError(t, err)
		for _, p := range talk.Packets {
			b := change(append([]byte(nil), p.Data...))
			a.Frame(Frame{Time: p.Time, Link: layers.LinkTypeEthernet, Data: b, Length: len(b)})
		}
		a.End()
		require.Empty(t, w.lines)
		return balanced(t, a, w)
	}
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14+6] |= 0x20; return b }).Fragments)
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14+7] = 9; return b }).Fragments)
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14+9] = 17; return b }).Other)                  // UDP
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[13] = 6; return b }).Other)                     // ARP
	require.EqualValues(t, 4, frames(func(b []byte) []byte { return b[:40] }).Broken)                          // half a TCP header
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14] = 0x42; return b }).Broken)                 // an IP header of 8 bytes
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14+20+12] = 0x10; return b }).Broken)           // a TCP header of 4
	require.EqualValues(t, 4, frames(func(b []byte) []byte { b[14+20+1], b[14+20+3] = 1, 1; return b }).Other) // other ports
}

// Without services every connection is read, and the request says who is the client.
func TestAnyService(t *testing.T) {
	talk := testkit.NewTalk()
	talk.Server = netip.MustParseAddrPort("10.0.0.2:9999")
	talk.Packets = nil
	for range 3 {
		talk.Ask(get)
		talk.Answer(ok)
	}
	w, s := feed(t, Config{Services: []Service{}}, talk.Packets)
	says(t, w, "missed 1: unfinished\nGET /a \"\"> 200 \"hi\" -\nGET /a \"\"> 200 \"hi\" -")
	require.EqualValues(t, 1, s.Joined)
	require.Equal(t, "10.0.0.2:9999", w.all[0].Dst)
	require.Equal(t, talk.Client, w.all[0].SrcAddr)
}

// What an exchange carries besides its messages.
func TestFields(t *testing.T) {
	talk := testkit.NewTalk()
	begin := talk.Clock
	talk.Ask("GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc\r\nX-Lane: red\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
	talk.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
	talk.Answer("i")
	talk.Ask("GET /b HTTP/1.1\r\nHost: h\r\nBaggage: lane=blue\r\n\r\n")
	talk.Answer(ok)
	w, _ := feed(t, Config{Seed: 7}, talk.Packets)
	x, y := &w.all[0], &w.all[1]
	require.Equal(t, "web", x.Dst)
	require.Equal(t, talk.Client, x.SrcAddr)
	require.Equal(t, talk.Server, x.DstAddr)
	require.Equal(t, begin+1000, x.Start)
	require.EqualValues(t, 1000, x.FirstByte)
	require.EqualValues(t, 2000, x.Latency)
	require.Equal(t, traffic.RequestID([]byte("abc")), x.ID)
	require.Equal(t, [2]traffic.Color{"red", "blue"}, [2]traffic.Color{x.Color, y.Color})
	require.Equal(t, byte(0x0a), x.Trace[0])
	require.Equal(t, [2]uint64{0, 1}, [2]uint64{x.Seq, y.Seq})
	require.Equal(t, x.Session, y.Session)
	require.NotEqual(t, x.ID, y.ID)
	require.EqualValues(t, 1, x.Weight)

	again, _ := feed(t, Config{Seed: 7}, talk.Packets)
	require.Equal(t, []uint64{x.Session, x.ID, y.ID}, []uint64{again.all[0].Session, again.all[0].ID, again.all[1].ID})
	other, _ := feed(t, Config{Seed: 8}, talk.Packets)
	require.NotEqual(t, x.Session, other.all[0].Session)
}

func TestConfigErrors(t *testing.T) {
	f := func(want string, cfg Config) {
		t.Helper()
		_, err := New(cfg)
		require.EqualError(t, err, want)
	}
	f("capture: no tap to give the exchanges to", Config{})
	f(`capture: service "web" has no port (want 1 to 65535)`, Config{Tap: new(idle), Services: []Service{{Name: "web"}}})
	f("capture: negative number, size or time", Config{Tap: new(idle), Memory: -1})
}

// Frames of any content, in any order, end in balanced books.
func FuzzFrame(f *testing.F) {
	talk := testkit.NewTalk()
	talk.Ask(get)
	talk.Answer(ok)
	talk.Close()
	for i, p := range talk.Packets {
		f.Add(uint8(layers.LinkTypeEthernet), p.Data, i)
		f.Add(uint8(layers.LinkTypeRaw), p.Data[14:], i+1)
	}
	for _, link := range []layers.LinkType{layers.LinkTypeNull, layers.LinkTypeLinuxSLL, LinkLinuxSLL2} {
		f.Add(uint8(link), append(make([]byte, 20), talk.Packets[3].Data[14:]...), 0)
	}
	f.Fuzz(func(t *testing.T, link uint8, data []byte, at int) {
		w := newWitness(t)
		a, err := New(Config{Tap: w})
		require.NoError(t, err)
		for i, p := range talk.Packets {
			if i == at%len(talk.Packets) {
				a.Frame(Frame{Time: p.Time, Link: layers.LinkType(link), Data: data, Length: len(data) + at%3})
			}
			a.Frame(frame(p))
		}
		a.End()
		balanced(t, a, w)
	})
}

// Streams of any content, cut anywhere, end in balanced books.
func FuzzStreams(f *testing.F) {
	f.Add([]byte(get+get), []byte(ok+ok), uint16(7))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), []byte("HTTP/1.0 200 \r\n\r\nx"), uint16(1))
	f.Add([]byte("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nxx"), []byte("HTTP/1.1 200 OK\r\n\r\nyy"), uint16(3))
	f.Fuzz(func(t *testing.T, ask, answer []byte, cut uint16) {
		talk := testkit.NewTalk()
		for len(ask)+len(answer) > 0 {
			n, m := min(len(ask), 1+int(cut&63)), min(len(answer), 1+int(cut>>6&63))
			talk.Segment(false, layers.TCP{ACK: true}, ask[:n])
			talk.Segment(true, layers.TCP{ACK: true}, answer[:m])
			ask, answer = ask[n:], answer[m:]
			cut = cut*5 + 1
		}
		if cut&1 == 0 {
			talk.Close()
		}
		feed(t, Config{}, talk.Packets)
	})
}
