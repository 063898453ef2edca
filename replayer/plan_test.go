package replayer

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// recorded parses a raw request into an exchange as a recorder would keep it.
func recorded(t testing.TB, head, body string, trailers ...string) traffic.Exchange {
	x := exchange(1, 0, 0)
	var f http1.Framing
	x.Request.Reset()
	n, err := http1.ParseRequest([]byte(head), &x.Request, &f, nil)
	require.NoError(t, err)
	require.Equal(t, len(head), n)
	x.Request.Body, x.Request.BodySize = []byte(body), int64(len(body))
	x.Request.Trailers = headers(trailers...)
	return x
}

func TestPlanChangesOnlyWhatItMust(t *testing.T) {
	const id = "5c50c7d8-de7c-8452-92cb-d3a1e945e623" // of exchange 1<<32+1 with seed 7: a change of it is a change of everybody's luck
	f := func(cfg Config, in, want string) {
		t.Helper()
		x := recorded(t, in, "")
		cfg.Seed = 7
		var it item
		require.Empty(t, plannerOf(cfg).plan(&x, &it))
		require.Equal(t, strings.ReplaceAll(want, "ID", id), string(it.wire))
	}
	red := Config{Lane: "red"}
	f(red, "GET /a?b=%20c HTTP/1.1\r\nhOsT: x\r\nCookie: a=b\r\nConnection: keep-alive\r\ncookie:  c\r\n\r\n",
		"GET /a?b=%20c HTTP/1.1\r\nhOsT: x\r\nCookie: a=b\r\nConnection: keep-alive\r\ncookie: c\r\nx-lane: red\r\nx-request-id: ID\r\n\r\n")
	f(red, "GET / HTTP/1.1\r\nX-Lane: blue\r\nHost: x\r\nx-LANE: green\r\nX-Request-ID: old\r\n\r\n",
		"GET / HTTP/1.1\r\nx-lane: red\r\nHost: x\r\nx-request-id: ID\r\n\r\n")
	f(red, "GET / HTTP/1.1\r\nHost: x\r\nBaggage: a=b,lane=blue\r\nbaggage: lane=green;p,c=d\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nbaggage: lane=red,a=b,c=d\r\nx-lane: red\r\nx-request-id: ID\r\n\r\n")
	f(Config{Lane: "red", Host: "shop:81"}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: shop:81\r\nx-lane: red\r\nx-request-id: ID\r\n\r\n")
	f(Config{AllowBaseline: true}, "GET / HTTP/1.1\r\nHost: x\r\nX-Lane: blue\r\nBaggage: lane=blue\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nx-request-id: ID\r\n\r\n")
	f(red, "GET http://x/p HTTP/1.0\r\n\r\n", "GET http://x/p HTTP/1.0\r\nx-lane: red\r\nx-request-id: ID\r\n\r\n")
}

func TestPlanRefusesWhatItCannotSendWhole(t *testing.T) {
	f := func(want string, change func(x *traffic.Exchange)) {
		t.Helper()
		x := recorded(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "abc")
		change(&x)
		var it item
		cfg := Config{Lane: "red"}
		require.Equal(t, want, plannerOf(cfg).plan(&x, &it))
	}
	f("", func(*traffic.Exchange) {})
	f("no-request", func(x *traffic.Exchange) { x.Request.Reset() })
	f("upgraded", func(x *traffic.Exchange) { x.Flags |= traffic.FlagUpgraded })
	f("upgraded", func(x *traffic.Exchange) { x.Request.Method = []byte("CONNECT") })
	f("request-cut", func(x *traffic.Exchange) { x.Flags |= traffic.FlagRequestCut })
	f("request-cut", func(x *traffic.Exchange) { x.Request.BodySize = 4 })
	f("request-cut", func(x *traffic.Exchange) { x.Request.Body, x.Request.BodySize = []byte("ab"), 2 })
	f("", func(x *traffic.Exchange) { // masked, and so of another length
		x.Request.Body, x.Request.BodySize = []byte("*****"), 5
		x.Flags |= traffic.FlagRedacted
	})
	chunked := func(flags traffic.Flags, status int) func(x *traffic.Exchange) {
		return func(x *traffic.Exchange) {
			x.Request.Headers = headers("Host", "x", "Transfer-Encoding", "chunked")
			x.Flags, x.Response.Status = flags, status
		}
	}
	f("", chunked(0, 0))
	f("", chunked(traffic.FlagDownstreamClosed, 200))
	f("request-cut", chunked(traffic.FlagDownstreamClosed, 0))
	f("bad-request", func(x *traffic.Exchange) { x.Request.Headers = headers("Host", "x", "A", "b\r\nX-Lane: blue") })
	f("bad-request", func(x *traffic.Exchange) { x.Request.Target = []byte("/ HTTP/1.1\r\nX: y") })
	f("bad-request", func(x *traffic.Exchange) { x.Request.Headers = headers("Host", "x", "Host", "y") })
}

// What was recorded arrives as it was, chunks and trailers too, and the rest is accounted for.
func TestBodiesArrive(t *testing.T) {
	t.Parallel()
	type seen struct{ body, trailer, encoding string }
	got := make(chan seen, 10)
	tt := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		got <- seen{string(body), r.Trailer.Get("X-Sum"), strings.Join(r.TransferEncoding, ",")}
	})
	big := string(bytes.Repeat([]byte{0, 0xff, '\r', '\n'}, 300_000))
	cut := exchange(1, 3, 0)
	cut.Flags |= traffic.FlagRequestCut
	list := []traffic.Exchange{
		recorded(t, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n", "chunks", "X-Sum", "42"),
		recorded(t, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1200000\r\n\r\n", big),
		recorded(t, "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", "wait"),
		cut,
		recorded(t, "PROPFIND /d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", ""),
		recorded(t, "GET /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ""),
		recorded(t, "GET /f HTTP/1.0\r\n\r\n", ""),
	}
	for i := range list {
		list[i].Seq, list[i].Start = uint64(i), epoch+int64(i)
	}
	res := replay(t, Config{To: tt.to()}, list)
	tt.Close()
	close(got)
	var all []seen
	for s := range got {
		all = append(all, s)
	}
	require.Equal(t, []seen{{"chunks", "42", "chunked"}, {big, "", ""}, {"wait", "", ""}, {}, {}, {}}, all)
	require.EqualValues(t, 7, res.Ledger.Accepted)
	require.EqualValues(t, 6, res.Ledger.Passed)
	require.Equal(t, map[string]uint64{"request-cut": 1}, res.Ledger.Dropped)
	require.EqualValues(t, 2, res.Connections, "the one that asked to close is followed by another")
}

// Whatever is on tape, what is sent is exactly one request, in our lane and no other.
func FuzzPlan(f *testing.F) {
	f.Add("GET", "/", "Host", "x", "X-Lane", "blue", "", false)
	f.Add("POST", "/a", "Transfer-Encoding", "chunked", "Host", "x", "body", false)
	f.Add("POST", "/a", "Content-Length", "9", "Host", "x", "body", true)
	f.Add("GET", "/ HTTP/1.1\r\n\r\nGET /b", "Host", "x", "baggage", "lane=a,lane=b", "", false)
	f.Add("GET", "/", "Host", "x", "Connection", "x-lane", "", false)
	f.Fuzz(func(t *testing.T, method, target, n1, v1, n2, v2, body string, redacted bool) {
		x := exchange(1, 0, 0)
		x.Request = traffic.Message{
			Method: []byte(method), Target: []byte(target), Minor: 1, Headers: headers("Host", "y", n1, v1, n2, v2),
			Body: []byte(body), BodySize: int64(len(body)),
		}
		if traffic.EqualFold([]byte(n1), "host") || traffic.EqualFold([]byte(n2), "host") {
			x.Request.Headers = x.Request.Headers[1:]
		}
		if redacted {
			x.Flags |= traffic.FlagRedacted
		}
		var it item
		cfg := Config{Lane: "red"}
		if plannerOf(cfg).plan(&x, &it) != "" {
			return
		}
		var m traffic.Message
		var fr http1.Framing
		n, err := http1.ParseRequest(it.wire, &m, &fr, nil)
		require.NoError(t, err)
		require.NotZero(t, n)
		var b http1.Body
		b.Init(fr, nil)
		var got []byte
		rest := it.wire[n:]
		for {
			data, n, done, err := b.Next(rest)
			require.NoError(t, err)
			got, rest = append(got, data...), rest[n:]
			if done {
				break
			}
			require.NotEmpty(t, rest, "the request has no end")
		}
		require.Empty(t, rest, "more than one request")
		require.Equal(t, body, string(got))
		lanes := 0
		for _, h := range m.Headers {
			if traffic.EqualFold(h.Name, "x-lane") {
				lanes++
				require.Equal(t, "red", string(h.Value))
			}
		}
		require.Equal(t, 1, lanes)
	})
}

// leanSource notes whether it was asked to leave responses out.
type leanSource struct {
	memorySource
	asked bool
}

func (s *leanSource) SkipResponses() { s.asked = true }

func TestResponsesAreNotReadForNothing(t *testing.T) {
	src := new(leanSource)
	run, err := newRun(Config{To: "127.0.0.1:1", Lane: "red", UnsafeTarget: true})
	require.NoError(t, err)
	run.newFeed(src)
	require.True(t, src.asked)
}

// Whatever comes when, it goes out by start; what comes in order costs the heap nothing.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for _, jitter := range []int{1, 5, 300} {
		var o order
		var got []*item
		for i := range 2000 {
			o.put(&item{start: int64(i + r.IntN(jitter)), arrival: uint64(i)})
			if jitter == 1 {
				require.Empty(t, o.heap)
			}
			if o.len() > 400 {
				got = append(got, o.take())
			}
		}
		require.Len(t, o.left(), o.len())
		for o.len() > 0 {
			got = append(got, o.take())
		}
		require.Len(t, got, 2000)
		require.True(t, slices.IsSortedFunc(got, func(a, b *item) int {
			if before(a, b) {
				return -1
			}
			return 1
		}))
	}
}
