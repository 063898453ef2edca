package tape

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		writeUntilKilled()
	}
	goleak.VerifyTestMain(m)
}

// strange makes exchanges that use every field and every width, in no order.
func strange(r *rand.Rand) *traffic.Exchange {
	num := func() uint64 { return r.Uint64() >> r.IntN(64) }
	sig := func() int64 { return int64(r.Uint64()) >> r.IntN(64) }
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
	str := func() string { return string(bin(40)) }
	addr := func() netip.AddrPort {
		switch r.IntN(5) {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.MustParseAddrPort("[fe80::1%eth0]:80")
		case 2:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(bin16(r))), uint16(r.Uint32()))
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))}), uint16(r.IntN(3)))
	}
	headers := func() (h []traffic.Header) {
		for range r.IntN(4) {
			h = append(h, traffic.Header{Name: bin(20), Value: bin(300)})
		}
		return h
	}
	x := &traffic.Exchange{
		ID: num(), Session: num() & 0xff, Seq: num(), Start: sig(), FirstByte: time.Duration(sig()), Latency: time.Duration(sig()),
		Src: str(), Dst: str(), SrcLane: traffic.Color(str()), SrcAddr: addr(), DstAddr: addr(), Color: traffic.Color(str()), Lane: traffic.Color(str()),
		LaneReason: traffic.LaneReason(r.IntN(256)), Flags: traffic.Flags(num()), Weight: []float32{0, 1, 10, math.MaxFloat32}[r.IntN(4)],
		Request:  traffic.Message{Method: bin(10), Target: bin(300), Minor: uint8(r.Uint32()), Headers: headers(), Trailers: headers(), Body: bin(70_000 >> r.IntN(16))},
		Response: traffic.Message{Status: int(sig()), Reason: bin(40), Minor: uint8(r.IntN(2)), Headers: headers(), Trailers: headers(), Body: bin(70_000 >> r.IntN(16))},
	}
	x.Request.BodySize, x.Response.BodySize = sig(), int64(len(x.Response.Body))
	if r.IntN(2) == 0 {
		x.Trace = [16]byte(bin16(r))
	}
	if r.IntN(3) == 0 {
		x.Fault = traffic.Injected{Rule: str(), Kind: str(), Hit: r.IntN(2) == 0, Delay: time.Duration(sig())}
	}
	return x
}

func bin16(r *rand.Rand) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

const t0 = int64(1763683200e9)

// usual makes exchanges as a proxy would see them on 50 connections: completed out of order by up to 20 ms.
func usual(r *rand.Rand, n int) []traffic.Exchange {
	xs := make([]traffic.Exchange, n)
	var seq [50]uint64
	for i := range xs {
		s := r.IntN(50)
		x := &xs[i]
		*x = traffic.Exchange{
			ID: uint64(i), Session: uint64(1000 + s), Seq: seq[s], Start: t0 + int64(i)*100_000 - int64(r.IntN(20_000_000)),
			FirstByte: time.Duration(200_000 + r.IntN(100_000)), Src: "gateway", Dst: "packet", SrcAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(40_000+s)),
			DstAddr: netip.MustParseAddrPort("127.0.0.1:9102"), Weight: 1, Request: get(fmt.Sprintf("/packets/%d?n=%d", r.IntN(1000), i)), Response: ok(),
		}
		x.Latency = x.FirstByte + time.Duration(r.IntN(50_000))
		seq[s]++
	}
	return xs
}

func get(target string) traffic.Message {
	return traffic.Message{Method: []byte("GET"), Target: []byte(target), Minor: 1, Headers: lines("Host", "packet.local", "User-Agent", "wrk/4.2.0", "Accept", "*/*")}
}

func ok() traffic.Message {
	body := []byte(`{"id":17,"state":"open","amount":1250,"currency":"EUR","customer":"c-4711","items":[{"sku":"A1","n":2}]}`)
	return traffic.Message{
		Status: 200, Reason: []byte("OK"), Minor: 1, Body: body, BodySize: int64(len(body)),
		Headers: lines("Server", "redlane-lab", "Date", "Fri, 21 Nov 2025 00:00:00 GMT", "Content-Type", "application/json", "Content-Length", "103"),
	}
}

func lines(nv ...string) (h []traffic.Header) {
	for i := 0; i < len(nv); i += 2 {
		h = append(h, traffic.Header{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
	}
	return h
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

func tapeOf(t testing.TB, cfg Config, xs []traffic.Exchange) string {
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, cfg)
	require.NoError(t, err)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Close())
	return dir
}

func segments(t testing.TB, dir string) []string {
	paths, _, err := listSegments(dir)
	require.NoError(t, err)
	return paths
}
