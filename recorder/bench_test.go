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
	query   string
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
	w.target = append(w.target, w.query...)
	x.ID, x.Session, x.Seq, x.Start, x.Src, x.Dst = w.session<<32|w.seq, w.session, w.seq, 1763683200e9+int64(w.seq)*100_000, "gateway", "packet"
	x.FirstByte, x.Latency = 200_000, 240_000
	x.Request, x.Response = w.request, w.answer
	x.Request.Target = w.target
	request := x.Request.Body
	w.f.Request(x)
	if len(request) > 0 {
		x.Request.BodySize = int64(len(request))
		w.f.RequestBody(x, request)
	}
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
			if strings.Contains(name, "gzip") {
				w.answer.Headers = append(w.answer.Headers, lines("Content-Encoding", "gzip")...)
			}
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
	rules := func(text string) Config { return Config{Redact: ruled(b, text)} }
	f("1KB-rules-of-others", rules(`  - {json: [password], headers: [x-request-id], when: {service: [other]}}`), doc, strings.Split(fifteen, "|")...)
	f("1KB-hash", rules(`  - {headers: [x-request-id], json: [password], do: hash}`), doc, strings.Split(fifteen, "|")...)
	f("1KB-when-json", rules(`  - {json: [password], do: drop, when: {header: accept-language, in: [en]}}`), doc, strings.Split(fifteen, "|")...)
	f("1KB-match", rules(`  - {match: ['\b\d{16}\b'], where: [body]}`), doc, strings.Split(fifteen, "|")...)
	f("1KB-gzip-json-rules", Config{Redact: Redaction{JSON: []string{"password"}}}, packed("gzip", doc), strings.Split(fifteen, "|")...)
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
	allocatesNothing(t, l, w)
}

// What rules need is kept with the memory of an exchange: conditions, hashes and decoders too.
func TestRulesDoNotAllocate(t *testing.T) {
	f := func(rules, target, body string, headers ...string) {
		t.Helper()
		l := start(t, Config{PageMemory: 1 << 30, Redact: ruled(t, rules), Tape: tape.Config{Codec: tape.S2}})
		w := newWorker(l.Filter(), 1, body, headers...)
		w.request.Headers = append(w.request.Headers, lines("X-Region", "eu", "Cookie", "sid=1; a=b", "Referer", "http://h/?token=s&gone=1")...)
		w.request.Body = []byte(`{"region":"eu","pw":"s"}`)
		w.query = target
		w.answer.Headers = append(w.answer.Headers, lines(headers...)...)
		allocatesNothing(t, l, w)
	}
	f(`  - {headers: [x-key], do: hash, query: [token], json: [pw, n], cookies: [sid]}`, "?token=1&b=2", `{"pw":"x","n":1}`, "X-Key", "s")
	f(`  - {headers: [x-key], do: drop, query: [gone], json: [pw, a.b], when: {header: x-region, in: [eu]}}`, "?gone=1&b=%20", `{"pw":"x","n":1}`, "X-Key", "s")
	f(`  - {json: [pw], when: [{json: region, in: [eu]}, {query: a, in: [b]}, {cookie: a, in: [b]}]}`, "?a=b", `{"pw":"x","n":1}`)
	f(`  - {json: [pw], inside: ['*']}`, "", `{"pw":"x","s":"{\"pw\":1}"}`)
	f(`  - {match: ['secret=(\d+)']}`, "?a=b", `nothing to find`)
}

func allocatesNothing(t *testing.T, l *lab, w *worker) {
	t.Helper()
	for range 2000 {
		w.once()
	}
	// The average over many: pages are taken the first time, and the writer makes a few things per block.
	runs := 50_000
	if invariant.On { // the race detector makes sync.Pool forget at random: only the books are looked at
		runs = 3000
	}
	if n := testing.AllocsPerRun(runs, w.once); !invariant.On {
		require.Zero(t, n)
	}
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 2000+1+runs, books.Passed)
}
