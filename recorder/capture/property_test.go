package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/redlane/redlane/internal/testkit"
)

// drawTalk is a connection with a few exchanges of every framing, cut into segments anywhere, its numbers
// close to their wrap.
func drawTalk(t *rapid.T) *testkit.Talk {
	talk := testkit.NewTalk()
	talk.Packets = nil
	talk.Seq = [2]uint32{-rapid.Uint32Range(0, 3000).Draw(t, "client's distance to the wrap"), -rapid.Uint32Range(0, 3000).Draw(t, "server's")}
	talk.Open()
	for i := range rapid.IntRange(1, 6).Draw(t, "rounds") {
		depth := rapid.IntRange(1, 4).Draw(t, "pipelined")
		var ask, answer strings.Builder
		for j := range depth {
			size := rapid.IntRange(0, 2000).Draw(t, "size")
			body := string(testkit.Noise(size, i*10+j))
			target := fmt.Sprintf("/%d-%d", i, j)
			switch rapid.IntRange(0, 3).Draw(t, "request") {
			case 0:
				fmt.Fprintf(&ask, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target)
			case 1:
				fmt.Fprintf(&ask, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", target, size, body)
			case 2:
				fmt.Fprintf(&ask, "POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\nX-Sum: %d\r\n\r\n", target, chunk(body), size)
			case 3:
				fmt.Fprintf(&ask, "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\n", target)
				fmt.Fprintf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
				continue
			}
			switch rapid.IntRange(0, 3).Draw(t, "response") {
			case 0:
				fmt.Fprintf(&answer, "HTTP/1.1 204 No Content\r\n\r\n")
			case 1:
				fmt.Fprintf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body)
			case 2:
				fmt.Fprintf(&answer, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunk(body))
			case 3:
				fmt.Fprintf(&answer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			}
		}
		sendCut(t, talk, false, ask.String())
		sendCut(t, talk, true, answer.String())
	}
	talk.Close()
	return talk
}

func chunk(body string) string {
	if body == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
}

func sendCut(t *rapid.T, talk *testkit.Talk, fromServer bool, data string) {
	for len(data) > 0 {
		n := min(len(data), rapid.IntRange(1, 1460).Draw(t, "segment"))
		talk.Segment(fromServer, layers.TCP{ACK: true}, []byte(data[:n]))
		data = data[n:]
	}
}

// disturb is packets after the handshake in another order, with copies, and with segments that overlap.
func disturb(t *rapid.T, packets []testkit.Packet) []testkit.Packet {
	out := append([]testkit.Packet(nil), packets[:3]...)
	rest := append([]testkit.Packet(nil), packets[3:]...)
	for range rapid.IntRange(0, 6).Draw(t, "copies") {
		i := rapid.IntRange(0, len(rest)-1).Draw(t, "of")
		at := rapid.IntRange(i, min(len(rest), i+5)).Draw(t, "to")
		rest = append(rest[:at:at], append([]testkit.Packet{rest[i]}, rest[at:]...)...)
	}
	for range rapid.IntRange(0, 20).Draw(t, "swaps") {
		i := rapid.IntRange(0, len(rest)-1).Draw(t, "one")
		j := min(len(rest)-1, i+rapid.IntRange(0, 6).Draw(t, "other"))
		rest[i], rest[j] = rest[j], rest[i]
	}
	return append(out, rest...)
}

// How the bytes are cut into segments, in what order those were captured and how often changes nothing of
// what is recorded.
func TestDisorderChangesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		talk := drawTalk(r)
		plain, _ := feed(t, Config{}, talk.Packets)
		require.NotContains(r, strings.Join(plain.lines, "\n"), "lost")
		require.Empty(r, plain.missed)

		disturbed, s := feed(t, Config{}, disturb(r, talk.Packets))
		require.Equal(r, plain.lines, disturbed.lines)
		require.Zero(r, s.Gaps)
		for i := range plain.all {
			p, d := &plain.all[i], &disturbed.all[i]
			require.Equal(r, p.Request, d.Request)
			require.Equal(r, p.Response, d.Response)
			require.Equal(r, [3]uint64{p.ID, p.Session, p.Seq}, [3]uint64{d.ID, d.Session, d.Seq})
		}
	})
}

// Whatever is missing, everything that is recorded was so on the wire, and the books balance.
func TestLossInventsNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		talk := drawTalk(r)
		plain, _ := feed(t, Config{}, talk.Packets)
		truth := make(map[string]string)
		for i := range plain.all {
			x := &plain.all[i]
			truth[string(x.Request.Target)] = fmt.Sprint(x.Request, x.Response, x.Flags)
		}
		var left []testkit.Packet
		for i, p := range disturb(r, talk.Packets) {
			if rapid.IntRange(0, 9).Draw(r, "lost") != 0 || i < 2 && rapid.Bool().Draw(r, "handshake") {
				left = append(left, p)
			}
		}
		lossy, _ := feed(t, Config{}, left)
		for i := range lossy.all {
			x := &lossy.all[i]
			if x.Flags == 0 || x.Flags.String() == "continued" {
				require.Equal(r, truth[string(x.Request.Target)], fmt.Sprint(x.Request, x.Response, x.Flags), lossy.lines)
			}
		}
	})
}
