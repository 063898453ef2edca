package recorder

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// worker is what one loop of a proxy does with one connection: the same memory for every exchange.
type worker struct {
	f       traffic.BodyFilter
	x       traffic.Exchange
	seq     uint64
	session uint64
	body    []byte
	request traffic.Message
	answer  traffic.Message
	target  []byte
}

func newWorker(f traffic.BodyFilter, session uint64, body string, headers ...string) *worker {
	x := exchange(session, 0)
	w := &worker{f: f, session: session, body: []byte(body), request: x.Request, answer: x.Response}
	w.request.Headers = append(w.request.Headers, lines(headers...)...)
	return w
}

func (w *worker) once() {
	x := &w.x
	x.Reset()
	w.seq++
	w.target = append(w.target[:0], "/packets/"...)
	w.target = strconv.AppendUint(w.target, w.seq, 10)
	x.ID, x.Session, x.Seq, x.Start, x.Src, x.Dst = w.session<<32|w.seq, w.session, w.seq, 1763683200e9+int64(w.seq)*100_000, "gateway", "packet"
	x.FirstByte, x.Latency = 200_000, 240_000
	x.Request, x.Response = w.request, w.answer
	x.Request.Target = w.target
	w.f.Request(x)
	if len(w.body) > 0 {
		x.Response.BodySize = int64(len(w.body))
		w.f.ResponseBody(x, w.body)
	}
	w.f.Response(x)
}

const fifteen = "User-Agent|wrk/4.2.0|Accept|application/json|Accept-Encoding|identity|X-Request-Id|7f3a1c9be0d24411|Traceparent|00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|Accept-Language|en|Cache-Control|no-cache|Origin|https://lab.local|Authorization|Bearer s"

// BenchmarkTap is what one exchange costs the loop of the proxy: all four calls. Compression and disk run
// beside it. Exchanges that found no page are reported: they cost less.
func BenchmarkTap(b *testing.B) {
	f := func(name string, cfg Config, body string, headers ...string) {
		b.Run(name, func(b *testing.B) {
			cfg.PageMemory = 1 << 30
			cfg.Tape.Codec = tape.S2
			l := start(b, cfg)
			w := newWorker(l.Filter(), 1, body, headers...)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				w.once()
			}
			b.StopTimer()
			l.cancel()
			require.NoError(b, <-l.done)
			books := l.Ledger()
			b.ReportMetric(float64(books.Lost())/float64(b.N), "dropped/op")
		})
	}
	doc := `{"user":{"name":"x","password":"secret"},"items":[` + strings.Repeat(`{"sku":"A1","n":2},`, 30) + `{}]}`
	f("small", Config{}, "")
	f("1KB", Config{}, doc, strings.Split(fifteen, "|")...)
	f("1KB-json-rules", Config{Redact: Redaction{JSON: []string{"password", "card.number"}}}, doc, strings.Split(fifteen, "|")...)
	f("64KB", Config{}, strings.Repeat("x", 64<<10))
	f("sampled-out", Config{Share: 1e-12}, "")
	f("not-ours", Config{Services: []string{"other"}}, "")
}

func BenchmarkTapParallel(b *testing.B) {
	l := start(b, Config{PageMemory: 1 << 30, Tape: tape.Config{Codec: tape.S2}})
	b.RunParallel(func(pb *testing.PB) {
		w := newWorker(l.Filter(), uint64(b.N), "body")
		for pb.Next() {
			w.once()
		}
	})
	b.StopTimer()
	l.cancel()
	require.NoError(b, <-l.done)
}

func TestTheTapDoesNotAllocate(t *testing.T) {
	l := start(t, Config{PageMemory: 1 << 30, Redact: Redaction{Query: []string{"token"}, JSON: []string{"password"}}, Tape: tape.Config{Codec: tape.S2}})
	w := newWorker(l.Filter(), 1, `{"password":"x","n":1}`, "Authorization", "Bearer s", "Referer", "http://h/?token=s")
	for range 2000 {
		w.once()
	}
	// The average over many: pages are taken the first time, and the writer makes a few things per block.
	if n := testing.AllocsPerRun(50_000, w.once); !invariant.On { // the race detector makes sync.Pool forget at random
		require.Zero(t, n)
	}
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 52_001, books.Passed)
}
