package pcap

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talkOf is fc as packets, on a connection of its own: plain, over VLANs, over IPv6, with headers between.
func talkOf(i int, fc testkit.FidelityCase, atMost int) (t *testkit.Talk, sent []testkit.RawRequest) {
	t = &testkit.Talk{
		Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), uint16(40_000+i)), Server: netip.MustParseAddrPort("10.0.0.2:80"),
		Clock: 1_700_000_000_000_000_000 + int64(i)*1e9, Seq: [2]uint32{uint32(-1000 * i), uint32(-777 * i)},
	}
	switch i % 4 {
	case 1:
		t.VLAN = []uint16{7}
	case 2:
		t.VLAN = []uint16{7, 100}
	case 3:
		t.Client = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}), uint16(40_000+i))
		t.Server = netip.MustParseAddrPort("[fd00::80]:80")
	}
	t.Open()
	for r := range min(fc.Repeat, atMost) {
		round := fc.Round(r)
		var ask, answer []byte
		for _, q := range round {
			ask = append(append(ask, q.Head...), q.Wire...)
			if q.Expects() {
				answer = append(answer, "HTTP/1.1 100 Continue\r\n\r\n"...)
			}
			wire, _, _ := q.Answered()
			answer = append(answer, wire...)
			if fc.InTurn {
				t.Send(false, ask)
				t.Send(true, answer)
				ask, answer = nil, nil
			}
		}
		t.Send(false, ask)
		t.Send(true, answer)
		sent = append(sent, round...)
	}
	t.Close()
	return t, sent
}

// file is packets as pcap.
func file(t testing.TB, packets []testkit.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	require.NoError(t, w.WriteFileHeader(maxFrame, layers.LinkTypeEthernet))
	for _, p := range packets {
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, p.Time), CaptureLength: len(p.Data), Length: len(p.Data)}, p.Data))
	}
	return b.Bytes()
}

// all reads a file of exchanges whole.
func all(t testing.TB, b []byte) (xs []traffic.Exchange, notes codec.Notes) {
	t.Helper()
	src, err := openSource(bytes.NewReader(b), codec.Options{Name: "test.pcap"})
	require.NoError(t, err)
	for {
		var x traffic.Exchange
		err := src.Next(t.Context(), &x)
		if errors.Is(err, io.EOF) {
			return xs, src.Notes()
		}
		require.NoError(t, err)
		xs = append(xs, x)
	}
}

// tally is a tap that counts bytes.
type tally struct{ bytes int }

func (*tally) Request(*traffic.Exchange) traffic.Action     { return traffic.Action{} }
func (n *tally) RequestBody(_ *traffic.Exchange, b []byte)  { n.bytes += len(b) }
func (n *tally) ResponseBody(_ *traffic.Exchange, b []byte) { n.bytes += len(b) }
func (*tally) Response(*traffic.Exchange)                   {}
func (*tally) Lose(*traffic.Exchange, recorder.Reason)      {}
func (*tally) Miss(recorder.Reason, uint64)                 {}
