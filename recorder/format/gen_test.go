package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const marker = "🐵🙈🙉"

// usual makes exchanges that could have been on a wire: any method, any bytes in bodies, headers in any case and
// number, chunks, trailers, answers that are missing. They are valid HTTP, so that every format takes them.
func usual(r *rand.Rand, n int) []traffic.Exchange {
	xs := make([]traffic.Exchange, n)
	seq := make(map[uint64]uint64)
	for i := range xs {
		x := &xs[i]
		session := uint64(r.IntN(5)) << 40
		*x = traffic.Exchange{
			ID: r.Uint64(), Session: session, Seq: seq[session], Start: 1763683200e9 + int64(i)*1_000_003, Dst: "web", Weight: 1,
			SrcAddr: netip.MustParseAddrPort("10.0.0.7:40000"), DstAddr: netip.MustParseAddrPort("[::1]:8080"),
		}
		seq[session]++
		request(r, x)
		if r.IntN(10) > 0 {
			response(r, x)
		}
	}
	return xs
}

func request(r *rand.Rand, x *traffic.Exchange) {
	m := &x.Request
	m.Minor = 1
	m.Method = []byte([]string{"GET", "GET", "POST", "PUT", "PROPFIND", "HEAD", "DELETE"}[r.IntN(7)])
	m.Target = fmt.Appendf(nil, "/%d?q=%s", r.IntN(100), []string{"a", "%20b", "é", "a&b=c", "\xff"}[r.IntN(5)])
	m.Headers = append(someHeaders(r), lines("Host", "web.test:8080")...)
	if string(m.Method) == "POST" || string(m.Method) == "PUT" {
		body(r, m)
	}
}

func response(r *rand.Rand, x *traffic.Exchange) {
	m := &x.Response
	m.Minor = 1
	m.Status = []int{200, 201, 204, 304, 404, 500, 999}[r.IntN(7)]
	m.Reason = []byte([]string{"OK", "", "Nicht gefunden", "caf\xe9"}[r.IntN(4)])
	m.Headers = someHeaders(r)
	x.FirstByte = time.Duration(r.IntN(1e9))
	x.Latency = x.FirstByte + time.Duration(r.IntN(1e9))
	if m.Status != 204 && m.Status != 304 && string(x.Request.Method) != "HEAD" {
		body(r, m)
	}
}

// body gives m a body and what frames it.
func body(r *rand.Rand, m *traffic.Message) {
	m.Body = make([]byte, r.IntN(200))
	for i := range m.Body {
		m.Body[i] = byte(r.Uint32()) >> r.IntN(2)
	}
	if r.IntN(3) == 0 {
		m.Body = []byte(`{"text":"plain","n":1}`)
	}
	switch r.IntN(3) {
	case 0:
		m.Headers = append(m.Headers, lines("transfer-encoding", "chunked")...)
		if r.IntN(4) == 0 {
			m.Body = append(m.Body, "\n"+marker+"\n1 x 2\n"+marker...)
		}
		if r.IntN(2) == 0 {
			m.Trailers = lines("X-Sum", "1", "X-Sum", "2")
		}
	default:
		m.Headers = append(m.Headers, lines("Content-Length", fmt.Sprint(len(m.Body)))...)
	}
	m.BodySize = int64(len(m.Body))
}

func someHeaders(r *rand.Rand) (h []traffic.Header) {
	for range r.IntN(4) {
		h = append(h, lines([]string{"Accept", "X-Case", "x-case", "X-CASE"}[r.IntN(4)], []string{"", "*/*", "caf\xe9", "a, b", `"q\uo"`}[r.IntN(5)])...)
	}
	return h
}

// strange makes exchanges that no wire has seen, with every field set to anything.
func strange(r *rand.Rand) *traffic.Exchange {
	bin := func() []byte {
		b := make([]byte, r.IntN(30))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	text := func() string { return string(bin()) }
	hs := func() (h []traffic.Header) {
		for range r.IntN(3) {
			h = append(h, traffic.Header{Name: bin(), Value: bin()})
		}
		return h
	}
	addr := []netip.AddrPort{{}, netip.MustParseAddrPort("[fe80::1%eth0]:80"), netip.MustParseAddrPort("1.2.3.4:0")}
	return &traffic.Exchange{
		ID: r.Uint64(), Session: r.Uint64(), Seq: r.Uint64(), Start: int64(r.Uint64()), FirstByte: time.Duration(r.Uint64()), Latency: time.Duration(r.Uint64()),
		Src: text(), Dst: text(), SrcLane: traffic.Color(text()), SrcAddr: addr[r.IntN(3)], DstAddr: addr[r.IntN(3)], Color: traffic.Color(text()), Lane: traffic.Color(text()),
		LaneReason: traffic.LaneReason(r.IntN(int(traffic.LaneEscape) + 1)), Flags: traffic.Flags(r.Uint32()) & (traffic.FlagOpaque<<1 - 1),
		Fault: traffic.Injected{Rule: text(), Kind: text(), Hit: r.IntN(2) == 0, Delay: time.Duration(r.Uint64())}, Trace: [16]byte{byte(r.Uint32()), 15: 1},
		Weight:   []float32{0, 1, 0.1, math.MaxFloat32}[r.IntN(4)],
		Request:  traffic.Message{Method: bin(), Target: bin(), Minor: uint8(r.Uint32()), Headers: hs(), Trailers: hs(), Body: bin(), BodySize: int64(r.Uint64())},
		Response: traffic.Message{Status: int(r.Uint64()), Reason: bin(), Minor: uint8(r.Uint32()), Headers: hs(), Trailers: hs(), Body: bin(), BodySize: int64(r.Uint64())},
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
	for _, m := range []*traffic.Message{&c.Request, &c.Response} {
		m.Method, m.Target, m.Reason, m.Body = some(m.Method), some(m.Target), some(m.Reason), some(m.Body)
		m.Headers, m.Trailers = someLines(m.Headers), someLines(m.Trailers)
	}
	return c
}

func some(b []byte) []byte { return append([]byte(nil), b...) }

func someLines(hs []traffic.Header) (out []traffic.Header) {
	for _, h := range hs {
		out = append(out, traffic.Header{Name: some(h.Name), Value: some(h.Value)})
	}
	return out
}

// write puts xs into a file of the format, and returns it, what was refused by reason, and what is not whole.
func write(t testing.TB, name string, xs []traffic.Exchange) (file []byte, refused map[string]int, notes codec.Notes) {
	t.Helper()
	var buf bytes.Buffer
	sink, err := Create(name, &buf)
	require.NoError(t, err)
	refused = make(map[string]int)
	for i := range xs {
		var no *codec.Refusal
		if err := sink.Put(t.Context(), &xs[i]); errors.As(err, &no) {
			refused[no.Why]++
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, sink.Close())
	return buf.Bytes(), refused, notesOf(sink)
}

// read returns what a file holds and what of it was lost.
func read(t testing.TB, c Config, name string, file []byte) (xs []traffic.Exchange, lost []string, notes codec.Notes) {
	t.Helper()
	src, err := c.Open(name, bytes.NewReader(file))
	require.NoError(t, err)
	xs, lost, err = drain(t.Context(), src)
	require.NoError(t, err)
	notes = notesOf(src)
	require.NoError(t, src.Close())
	return xs, lost, notes
}

func drain(ctx context.Context, src traffic.Source) (xs []traffic.Exchange, lost []string, _ error) {
	x := new(traffic.Exchange)
	for {
		var l *recorder.Lost
		switch err := src.Next(ctx, x); {
		case errors.Is(err, io.EOF):
			return xs, lost, nil
		case errors.As(err, &l):
			lost = append(lost, l.Why.String()+" "+l.Error())
		case err != nil:
			return xs, lost, err
		default:
			xs = append(xs, clone(x))
		}
	}
}
