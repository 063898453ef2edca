package clickhouse

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) {
	if os.Getenv(recorderEnv) != "" {
		recordUntilKilled()
	}
	chtest.Main(m)
}

const t0 = int64(1763683200e9)

// strange makes an exchange that uses every field, any byte and any size, and a place in time near now.
func strange(r *rand.Rand, i int) traffic.Exchange {
	bin := func(n int) []byte {
		if r.IntN(3) == 0 {
			return nil
		}
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	word := func(words ...string) string { return words[r.IntN(len(words))] }
	addr := func() netip.AddrPort {
		switch r.IntN(4) {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.MustParseAddrPort("[2001:db8::7]:80")
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))}), uint16(r.IntN(3)))
	}
	headers := func() (h []traffic.Header) {
		for range r.IntN(4) {
			h = append(h, traffic.Header{Name: bin(20), Value: bin(300)})
		}
		return h
	}
	x := traffic.Exchange{
		ID: r.Uint64() >> r.IntN(64), Session: uint64(r.IntN(100)), Seq: uint64(i), Start: t0 + int64(i/3)*1000 - int64(r.IntN(20_000)),
		FirstByte: time.Duration(r.Int64N(1e12)), Latency: time.Duration(r.Int64N(1e12)),
		Src: word("", "gateway", "shake"), Dst: word("packet", "böse \xff\x00"), SrcLane: traffic.Color(word("", "red")), SrcAddr: addr(), DstAddr: addr(),
		Color: traffic.Color(word("", "red", "blue")), Lane: traffic.Color(word("", "red")), LaneReason: traffic.LaneReason(r.IntN(8)),
		Flags: traffic.Flags(r.Uint32()), Weight: []float32{0, 1, 10, math.MaxFloat32}[r.IntN(4)],
		Request:  traffic.Message{Method: []byte(word("GET", "POST", "", "\xc3\x28")), Target: bin(300), Minor: uint8(r.IntN(2)), Headers: headers(), Trailers: headers(), Body: bin(70_000 >> r.IntN(16))},
		Response: traffic.Message{Status: r.IntN(1000), Reason: bin(10), Minor: uint8(r.IntN(2)), Headers: headers(), Trailers: headers(), Body: bin(70_000 >> r.IntN(16))},
	}
	x.Request.BodySize, x.Response.BodySize = int64(len(x.Request.Body))+r.Int64N(3), int64(len(x.Response.Body))+r.Int64N(1<<40)
	if r.IntN(2) == 0 {
		for i := range x.Trace {
			x.Trace[i] = byte(r.Uint32())
		}
	}
	if r.IntN(3) == 0 {
		x.Fault = traffic.Injected{Rule: word("r1", "r2"), Kind: "latency", Hit: r.IntN(2) == 0, Delay: time.Duration(r.Int64N(1e9))}
	}
	return x
}

// usual makes the exchanges that a proxy sees: 15 headers, 20 000 sessions, bodies of half a kilobyte.
func usual(r *rand.Rand, i int) traffic.Exchange {
	header := func(nv ...string) (h []traffic.Header) {
		for i := 0; i < len(nv); i += 2 {
			h = append(h, traffic.Header{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
		}
		return h
	}
	id := r.Uint64()
	body := fmt.Appendf(nil, `{"id":%d,"state":"open","amount":%d,"customer":"c-%d","token":"%016x%016x","items":[%s]}`, i, r.IntN(9999), r.IntN(1000), r.Uint64(), r.Uint64(), bytes.Repeat([]byte(`{"sku":"A1","n":2},`), r.IntN(30)))
	x := traffic.Exchange{
		ID: id, Session: uint64(r.IntN(20_000)), Seq: uint64(i), Start: t0 + int64(i)*100_000 - int64(r.IntN(20_000_000)),
		FirstByte: time.Duration(200_000 + r.IntN(100_000)), Latency: time.Duration(300_000 + r.IntN(500_000)),
		Src: "gateway", Dst: "packet", SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(4)), byte(r.IntN(250))}), uint16(30_000+r.IntN(30_000))), DstAddr: netip.MustParseAddrPort("127.0.0.1:9102"), Weight: 1,
		Request: traffic.Message{Method: []byte("GET"), Target: fmt.Appendf(nil, "/packets/%d/offers?n=%d", r.IntN(1000), i), Minor: 1, Headers: header("Host", "packet.local", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept", "application/json",
			"Accept-Encoding", "gzip, deflate, br", "X-Request-Id", fmt.Sprintf("%016x", id), "Traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", id, id*7, id*13), "Authorization", "Bearer [redacted]")},
		Response: traffic.Message{Status: 200, Reason: []byte("OK"), Minor: 1, Body: body, BodySize: int64(len(body)), Headers: header("Server", "redlane-lab", "Date", "Fri, 21 Nov 2025 00:00:00 GMT",
			"Content-Type", "application/json", "Content-Length", fmt.Sprint(len(body)), "Cache-Control", "private, max-age=0", "Vary", "Accept-Encoding", "X-Served-By", "packet-7", "Strict-Transport-Security", "max-age=31536000")},
	}
	return x
}

func many(r *rand.Rand, n int, make func(*rand.Rand, int) traffic.Exchange) []traffic.Exchange {
	xs := []traffic.Exchange{}
	for i := range n {
		xs = append(xs, make(r, i))
	}
	return xs
}

// tapeOf writes a tape of several blocks.
func tapeOf(t testing.TB, xs []traffic.Exchange, cfg tape.Config) string {
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := tape.Create(dir, cfg)
	require.NoError(t, err)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Close())
	return dir
}

// inOrder sorts as a Source yields.
func inOrder(xs []traffic.Exchange) []traffic.Exchange {
	xs = slices.Clone(xs)
	k := func(x *traffic.Exchange) key { return key{x.Start, x.Session, x.Seq, x.ID} }
	slices.SortFunc(xs, func(a, b traffic.Exchange) int {
		switch {
		case k(&a).less(k(&b)):
			return -1
		case k(&b).less(k(&a)):
			return 1
		}
		return 0
	})
	return xs
}

// clone copies x with all its bytes and makes empty slices nil, so that two exchanges compare.
func clone(x *traffic.Exchange) traffic.Exchange {
	c := *x
	c.Edits, c.Endpoints = nil, nil
	c.Request, c.Response = cloneMessage(&x.Request), cloneMessage(&x.Response)
	return c
}

func cloneMessage(m *traffic.Message) traffic.Message {
	b := func(v []byte) []byte { return append([]byte(nil), v...) }
	h := func(hs []traffic.Header) (out []traffic.Header) {
		for _, l := range hs {
			out = append(out, traffic.Header{Name: b(l.Name), Value: b(l.Value)})
		}
		return out
	}
	c := *m
	c.Method, c.Target, c.Reason, c.Body, c.Headers, c.Trailers = b(m.Method), b(m.Target), b(m.Reason), b(m.Body), h(m.Headers), h(m.Trailers)
	return c
}
