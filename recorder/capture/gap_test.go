package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
)

func getN(n int) string { return fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", n) }

// rounds is n small GETs in turn, on one connection: packets 3+2n and 4+2n are request n and its response.
func rounds(n int) *testkit.Talk {
	talk := testkit.NewTalk()
	for i := range n {
		talk.Ask(getN(i))
		talk.Answer(ok)
	}
	talk.Close()
	return talk
}

func without(packets []testkit.Packet, lost ...int) (left []testkit.Packet) {
	for i, p := range packets {
		if !slices.Contains(lost, i) {
			left = append(left, p)
		}
	}
	return left
}

// A packet that was not captured costs the exchange that it was of, and no other.
func TestGapCostsWhatItTouched(t *testing.T) {
	all := func(but ...int) string {
		var want []string
		for i := range 6 {
			if !slices.Contains(but, i) {
				want = append(want, fmt.Sprintf(`GET /%d ""> 200 "hi" -`, i))
			}
		}
		return strings.Join(want, "\n")
	}
	f := func(want string, lost ...int) {
		t.Helper()
		w, s := feed(t, Config{}, without(rounds(6).Packets, lost...))
		kept := slices.DeleteFunc(slices.Clone(w.lines), func(l string) bool { return strings.Contains(l, ": gap") || strings.Contains(l, ": unfinished") })
		require.Equal(t, want, strings.Join(kept, "\n"), w.lines)
		require.EqualValues(t, 6-len(kept), s.Exchanges.Lost(), "every exchange that is not recorded is counted: %s", s.Exchanges.String())
	}
	f(all())
	f(all(), 0)        // SYN
	f(all(), 1)        // its answer
	f(all(), 0, 2)     // SYN and the end of the handshake
	f(all(2), 7)       // request 2
	f(all(2), 8)       // response 2
	f(all(2, 3), 7, 8) // nobody saw that request 3 was sent in its turn
	f(all(0), 3)
	f(all(0), 4)
	f(all(5), 13)
	f(all(5), 14)
	f(all(), 15) // FIN
	f(all(), 16)
	f(all(), 15, 16, 17)
	f(all(2, 4), 7, 12)
	f(all(0), 0, 1, 2) // joined: nothing says that no response to an earlier request is due
}

// Inside a body whose length is known nothing else can have been, so that the stream goes on behind the hole.
func TestGapInABody(t *testing.T) {
	talk := testkit.NewTalk()
	body := strings.Repeat("x", 5000)
	for i := range 2 {
		talk.Ask(fmt.Sprintf("POST /up%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n%s%s", i, body, getN(i)))
		talk.Answer(ok + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + body + "\r\n0\r\n\r\n" + "")
	}
	sizes := func(i int) int { return len(talk.Packets[i].Data) }
	require.Greater(t, sizes(6), 1400)
	w, _ := feed(t, Config{}, without(talk.Packets, 6))
	says(t, w, "POST /up0 lost: gap\nGET /0 \"\"> 200 [5000] -\nPOST /up1 [5000]> 200 \"hi\" -\nGET /1 \"\"> 200 [5000] -")
	var answer int
	for i, p := range talk.Packets {
		if p.FromServer && i > 3 && len(p.Data) > 1400 {
			answer = i
			break
		}
	}
	for answer++; len(talk.Packets[answer].Data) < 1400; answer++ { // a segment inside the chunk
	}
	w, _ = feed(t, Config{}, without(talk.Packets, answer))
	says(t, w, "POST /up0 [5000]> 200 \"hi\" -\nGET /0 lost: gap\nPOST /up1 [5000]> 200 \"hi\" -\nGET /1 \"\"> 200 [5000] -")
}

// A capture with a small snap length has the heads and not the bodies: the exchanges are lost, by reason.
func TestTruncatedFrames(t *testing.T) {
	talk := testkit.NewTalk()
	for i := range 3 {
		talk.Ask(getN(i))
		talk.Answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000))
	}
	talk.Ask(getN(3))
	talk.Answer(ok)
	w := newWitness(t)
	a, err := New(Config{Services: web, Tap: w})
	require.NoError(t, err)
	for _, p := range talk.Packets {
		f := frame(p)
		f.Data = f.Data[:min(len(f.Data), 200)]
		a.Frame(f)
	}
	a.End()
	s := balanced(t, a, w)
	says(t, w, "GET /0 lost: truncated\nGET /1 lost: truncated\nGET /2 lost: truncated\nGET /3 \"\"> 200 \"hi\" -")
	require.EqualValues(t, 3, s.Truncated)
	require.Zero(t, s.Gaps)
	require.EqualValues(t, 3*(1041-146), s.Bytes.Dropped["truncated"])
}

// Packets seen twice, on two interfaces or by a mirror, also long after, are recorded once.
func TestCopiesCountOnce(t *testing.T) {
	talk := rounds(3)
	f := func(order func(p []testkit.Packet) []testkit.Packet) {
		t.Helper()
		w, s := feed(t, Config{}, order(talk.Packets))
		says(t, w, "GET /0 \"\"> 200 \"hi\" -\nGET /1 \"\"> 200 \"hi\" -\nGET /2 \"\"> 200 \"hi\" -")
		require.EqualValues(t, 6, s.Duplicates)
		require.EqualValues(t, 1, s.Streams)
		require.Equal(t, s.Bytes.Passed, s.Bytes.Dropped["duplicate"])
	}
	f(func(p []testkit.Packet) (out []testkit.Packet) {
		for _, q := range p {
			out = append(out, q, q)
		}
		return out
	})
	f(func(p []testkit.Packet) []testkit.Packet { return append(slices.Clone(p), p...) })
}

// What TCP sends to find out whether the other side is there, or what it sends again.
func TestProbesAndRetransmissions(t *testing.T) {
	talk := testkit.NewTalk()
	talk.Ask(getN(0))
	c, s := talk.Seq[0], talk.Seq[1]
	talk.Say(false, layers.TCP{ACK: true, Seq: c - 1, Ack: s}, nil)        // keep-alive
	talk.Say(false, layers.TCP{ACK: true, Seq: c - 1, Ack: s}, []byte{0})  // keep-alive with a byte
	talk.Say(true, layers.TCP{ACK: true, Seq: s, Ack: c}, []byte(ok[:1]))  // zero-window probe
	talk.Say(true, layers.TCP{ACK: true, Seq: s, Ack: c}, []byte(ok[:10])) // then all of it
	talk.Say(true, layers.TCP{ACK: true, Seq: s + 20, Ack: c}, []byte(ok[20:30]))
	talk.Say(true, layers.TCP{ACK: true, Seq: s + 15, Ack: c}, []byte(ok[15:]))
	talk.Say(true, layers.TCP{ACK: true, Seq: s + 5, Ack: c}, []byte(ok[5:25]))
	talk.Say(true, layers.TCP{ACK: true, Seq: s, Ack: c}, []byte(ok))
	talk.Seq[1] += uint32(len(ok))
	talk.Ask(getN(1))
	talk.Answer(ok)
	w, stats := feed(t, Config{}, talk.Packets)
	says(t, w, "GET /0 \"\"> 200 \"hi\" -\nGET /1 \"\"> 200 \"hi\" -")
	require.Zero(t, stats.Gaps)
	require.EqualValues(t, 2*len(ok)+2*len(getN(0)), stats.Bytes.Passed)
}

// A client's port is used again for another connection.
func TestPortReuse(t *testing.T) {
	f := func(want string, second func(talk *testkit.Talk)) {
		t.Helper()
		talk := testkit.NewTalk()
		talk.Ask(getN(0))
		talk.Answer(ok)
		talk.Ask(getN(1))
		talk.Seq = [2]uint32{1 << 31, 77}
		second(talk)
		w, _ := feed(t, Config{}, talk.Packets)
		says(t, w, want)
		sessions := make(map[uint64]bool)
		for i := range w.all {
			sessions[w.all[i].Session] = true
		}
		require.Len(t, sessions, 2)
	}
	f("GET /0 \"\"> 200 \"hi\" -\nGET /1 lost: gap\nGET /2 \"\"> 200 \"hi\" -", func(talk *testkit.Talk) {
		talk.Open()
		talk.Ask(getN(2))
		talk.Answer(ok)
	})
	f("GET /0 \"\"> 200 \"hi\" -\nGET /1 lost: gap\nmissed 1: unfinished\nGET /3 \"\"> 200 \"hi\" -", func(talk *testkit.Talk) { // the handshake was not seen
		talk.Ask(getN(2))
		talk.Answer(ok)
		talk.Ask(getN(3))
		talk.Answer(ok)
	})
}

// A connection that ends early says who ended it.
func TestResets(t *testing.T) {
	f := func(want string, script func(talk *testkit.Talk)) {
		t.Helper()
		talk := testkit.NewTalk()
		talk.Ask(getN(0))
		script(talk)
		w, _ := feed(t, Config{}, talk.Packets)
		says(t, w, want)
	}
	f(`GET /0 ""> 0 "" UC`, func(talk *testkit.Talk) { talk.Segment(true, layers.TCP{RST: true, ACK: true}, nil) })
	f(`GET /0 ""> 0 "" DC`, func(talk *testkit.Talk) { talk.Segment(false, layers.TCP{RST: true, ACK: true}, nil) })
	f(`GET /0 ""> 200 "hi" -`, func(talk *testkit.Talk) { // the response was on its way
		talk.Segment(false, layers.TCP{RST: true, ACK: true}, nil)
		talk.Answer(ok)
	})
	f(`GET /0 ""> 200 "part" UC`, func(talk *testkit.Talk) {
		talk.Answer("HTTP/1.1 200 OK\r\n\r\npart")
		talk.Segment(true, layers.TCP{RST: true, ACK: true}, nil)
	})
	f("GET /0 \"\"> 200 \"hi\" -\nPOST /x \"ab\"> 0 \"\" UC,DC,request-cut", func(talk *testkit.Talk) {
		talk.Answer(ok)
		talk.Ask("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
		talk.Close()
	})
	f("GET /0 \"\"> 200 \"hi\" -\nmissed 1: protocol", func(talk *testkit.Talk) {
		talk.Answer(ok)
		talk.Ask("POST /x HTTP/1.1\r\nHo")
		talk.Close()
	})
	f("GET /0 \"\"> 200 \"hi\" -\nPOST /x \"ab\"> 200 \"hi\" request-cut", func(talk *testkit.Talk) { // answered before it was whole
		talk.Answer(ok)
		talk.Ask("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
		talk.Answer(ok)
		talk.Segment(true, layers.TCP{FIN: true, ACK: true}, nil)
	})
}

// A response captured before its request, or long before a hole is filled, waits.
func TestLateSegments(t *testing.T) {
	p := rounds(4).Packets
	p[7], p[8] = p[8], p[7]
	w, s := feed(t, Config{}, p)
	require.Len(t, w.all, 4)
	require.Zero(t, s.Gaps)

	w = newWitness(t)
	a, err := New(Config{Services: web, Tap: w})
	require.NoError(t, err)
	talk := rounds(4)
	for i, p := range talk.Packets {
		if i == 7 {
			continue
		}
		a.Frame(frame(p))
	}
	require.Len(t, w.all, 2, "the others wait")
	a.Tick(talk.Clock + int64(100*time.Millisecond))
	require.Len(t, w.all, 2)
	a.Tick(talk.Clock + int64(300*time.Millisecond))
	require.Len(t, w.all, 3, "the hole was acknowledged, and nobody filled it in time")
	a.Tick(talk.Clock + int64(time.Hour))
	require.Zero(t, a.Stats().Open)
	balanced(t, a, w)
}

// Memory is bounded: who passes the bounds is lost and counted.
func TestBounds(t *testing.T) {
	talk := testkit.NewTalk()
	for i := range 200 {
		talk.Ask(getN(i)) // never answered
	}
	w, s := feed(t, Config{Memory: 100 << 10}, talk.Packets)
	require.NotZero(t, s.Evicted)
	require.Equal(t, s.Exchanges.Accepted, s.Exchanges.Lost())
	require.NotZero(t, s.Exchanges.Dropped["memory"])
	require.Empty(t, w.all)

	var many []testkit.Packet
	for i := range 20 {
		talk := testkit.NewTalk()
		talk.Client, talk.Packets = addrPort(i), nil
		talk.Open()
		talk.Ask(getN(i))
		many = append(many, talk.Packets...)
	}
	_, s = feed(t, Config{Streams: 5}, many)
	require.EqualValues(t, 15, s.Evicted)
	require.EqualValues(t, 15, s.Exchanges.Dropped["memory"])
	require.EqualValues(t, 5, s.Exchanges.Dropped["unfinished"])

	talk = testkit.NewTalk()
	talk.Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 99999))
	_, s = feed(t, Config{Ahead: 20 << 10}, without(talk.Packets, 3))
	require.EqualValues(t, 1, s.Gaps)
}
