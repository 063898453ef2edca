package pcap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func oneGet() []testkit.Packet {
	talk := testkit.NewTalk()
	talk.Ask("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	talk.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	talk.Close()
	return talk.Packets
}

// classicFile is pcap in any byte order and resolution.
func classicFile(order binary.AppendByteOrder, magic uint32, perSecond int64, packets []testkit.Packet) (b []byte) {
	for _, v := range []uint32{magic, 2 | 4<<16, 0, 0, 262144, 1} {
		if v == 2|4<<16 {
			b = order.AppendUint16(order.AppendUint16(b, 2), 4)
			continue
		}
		b = order.AppendUint32(b, v)
	}
	for _, p := range packets {
		for _, v := range []int64{p.Time / 1e9, p.Time % 1e9 / (1e9 / perSecond), int64(len(p.Data)), int64(len(p.Data))} {
			b = order.AppendUint32(b, uint32(v))
		}
		b = append(b, p.Data...)
	}
	return b
}

func block(order binary.AppendByteOrder, kind uint32, body ...byte) (b []byte) {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b = order.AppendUint32(order.AppendUint32(b, kind), uint32(len(body)+12))
	return order.AppendUint32(append(b, body...), uint32(len(body)+12))
}

func option(order binary.AppendByteOrder, code uint16, v ...byte) []byte {
	b := append(order.AppendUint16(order.AppendUint16(nil, code), uint16(len(v))), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// ngFile is pcapng with two interfaces, the first of another link type, blocks nobody knows between the packets
// and, at the end, what the kernel dropped.
func ngFile(order binary.AppendByteOrder, packets []testkit.Packet) []byte {
	head := append(order.AppendUint32(nil, 0x1a2b3c4d), order.AppendUint16(order.AppendUint16(nil, 1), 0)...)
	b := block(order, blockSection, append(head, 255, 255, 255, 255, 255, 255, 255, 255)...)
	b = append(b, block(order, blockInterface, append(order.AppendUint16(nil, 300), 0, 0, 0, 0, 0, 0)...)...)
	ether := append(order.AppendUint16(nil, 1), 0, 0, 0, 0, 0, 0)
	b = append(b, block(order, blockInterface, slices.Concat(ether, option(order, 2, 'l', 'o'), option(order, 9, 9), option(order, 0))...)...)
	for i, p := range packets {
		var e []byte
		for _, v := range []uint32{1, uint32(p.Time >> 32), uint32(p.Time), uint32(len(p.Data)), uint32(len(p.Data))} {
			e = order.AppendUint32(e, v)
		}
		b = append(b, block(order, blockPacket, append(e, p.Data...)...)...)
		b = append(b, block(order, 0xbad+uint32(i), 1, 2, 3)...)
	}
	stats := append(order.AppendUint32(nil, 1), 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, block(order, blockStatistics, append(stats, option(order, 7, order.AppendUint64(nil, 17)...)...)...)...)
}

func TestFileKinds(t *testing.T) {
	packets := oneGet()
	f := func(b []byte, precision int64) {
		t.Helper()
		xs, _ := all(t, b)
		require.Len(t, xs, 1)
		require.Equal(t, "hi", string(xs[0].Response.Body))
		require.Equal(t, packets[3].Time/precision*precision, xs[0].Start)
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		f(classicFile(order, 0xa1b2c3d4, 1e6, packets), 1000)
		f(classicFile(order, 0xa1b23c4d, 1e9, packets), 1)
		f(ngFile(order, packets), 1)
	}
	stats, err := Run(t.Context(), bytes.NewReader(ngFile(binary.LittleEndian, packets)), capture.Config{Tap: new(tally)})
	require.NoError(t, err)
	require.EqualValues(t, 17, stats.KernelDropped)
}

// A file that breaks off has been read up to there, and says so.
func TestBrokenFiles(t *testing.T) {
	f := func(want string, b []byte) {
		t.Helper()
		_, err := Run(t.Context(), bytes.NewReader(b), capture.Config{Tap: new(tally)})
		require.EqualError(t, err, want)
	}
	whole := classicFile(binary.LittleEndian, 0xa1b2c3d4, 1e6, oneGet())
	f("read capture: after packet 7: the file breaks off", whole[:len(whole)-1])
	f("read capture: it begins with 7f454c46, which is neither pcap nor pcapng", []byte("\x7fELF\x02\x01"))
	f("read capture: it has no header: the file breaks off", nil)
	ng := ngFile(binary.LittleEndian, oneGet())
	f("read capture: after packet 8: the file breaks off", ng[:len(ng)-2])
	clear(ng[len(ng)-4:])
	f("read capture: after packet 8: a block contradicts itself: its sizes differ", ng)

	src, err := openSource(bytes.NewReader(whole[:len(whole)-1]), codec.Options{Name: "x.pcap"})
	require.NoError(t, err)
	var x traffic.Exchange
	require.NoError(t, src.Next(t.Context(), &x))
	require.EqualError(t, src.Next(t.Context(), &x), "x.pcap: read capture: after packet 7: the file breaks off")
}

// What a capture cannot hold is refused, and the file stays whole.
func TestRefusals(t *testing.T) {
	xs, _ := all(t, classicFile(binary.LittleEndian, 0xa1b23c4d, 1e9, oneGet()))
	f := func(want string, change func(x *traffic.Exchange)) {
		t.Helper()
		var out bytes.Buffer
		s := NewSink(&out)
		x := xs[0]
		change(&x)
		var refusal *codec.Refusal
		require.ErrorAs(t, s.Put(t.Context(), &x), &refusal)
		require.Equal(t, want, refusal.Why)
		require.NoError(t, s.Put(t.Context(), &xs[0]))
		require.NoError(t, s.Close())
		again, _ := all(t, out.Bytes())
		require.Len(t, again, 1)
	}
	f("cut", func(x *traffic.Exchange) { x.Flags |= traffic.FlagResponseCut })
	f("opaque", func(x *traffic.Exchange) { x.Flags |= traffic.FlagOpaque })
	f("time", func(x *traffic.Exchange) { x.Start = -1 })

	// Sessions without addresses, or that share them, get some of their own.
	var out bytes.Buffer
	s := NewSink(&out)
	for i := range 3 {
		x := xs[0]
		x.Session = uint64(i)
		require.NoError(t, s.Put(t.Context(), &x))
	}
	require.NoError(t, s.Close())
	require.EqualValues(t, 2, s.(codec.Noter).Notes()["addresses made up"])
	again, _ := all(t, out.Bytes())
	require.Len(t, again, 3)
}

// A file of any content ends in an error or at its end.
func FuzzFile(f *testing.F) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		f.Add(classicFile(order, 0xa1b2c3d4, 1e6, oneGet()))
		f.Add(ngFile(order, oneGet()[:4]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		stats, err := Run(t.Context(), bytes.NewReader(b), capture.Config{Tap: new(tally)})
		if err == nil {
			require.NoError(t, stats.Bytes.Balance())
		}
		require.NoError(t, stats.Exchanges.Balance())
	})
}
