package http1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// edits turns "name: value" lines into edits; "name" alone removes.
func edits(lines ...string) (es []traffic.Header) {
	for _, l := range lines {
		name, value, ok := strings.Cut(l, ": ")
		h := traffic.Header{Name: []byte(name)}
		if ok {
			h.Value = []byte(value)
		}
		es = append(es, h)
	}
	return es
}

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func TestAppendRequest(t *testing.T) {
	f := func(in, want string, change func(*Framing), es ...string) {
		t.Helper()
		var m traffic.Message
		var fr Framing
		n, err := ParseRequest([]byte(in), &m, &fr, nil)
		require.NoError(t, err)
		require.Equal(t, len(in), n)
		fr.Close = false
		if change != nil {
			change(&fr)
		}
		require.Equal(t, want, string(AppendRequest([]byte("before"), &m, edits(es...), fr))[len("before"):])
	}
	g := "GET /x?y HTTP/1.1"
	// Nothing to do: the same bytes.
	f(crlf(g, "hOST: a", "X: 1", "x: 2", "A: b"), crlf(g, "hOST: a", "X: 1", "x: 2", "A: b"), nil)
	f(crlf(g, "Host: a", "E:", "F:  g "), crlf(g, "Host: a", "E: ", "F: g"), nil)
	// Hop-by-hop headers end here.
	f(crlf(g, "Host: a", "Connection: close"), crlf(g, "Host: a"), nil)
	f(crlf(g, "Host: a", "Connection: x-one, X-Two", "X-One: 1", "A: b", "x-two: 2"), crlf(g, "Host: a", "A: b"), nil)
	f(crlf(g, "X-One: 1", "Host: a", "connection: keep-alive", "Connection: X-ONE"), crlf(g, "Host: a"), nil)
	f(crlf(g, "Host: a", "Connection: host"), crlf(g, "Host: a"), nil)
	f(crlf(g, "Host: a", "Keep-Alive: 5", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X"), crlf(g, "Host: a", "Trailer: X"), nil)
	f(crlf(g, "Host: a", "Connection: x-this-name-is-longer-than-thirty-two-bytes", "X-This-Name-Is-Longer-Than-Thirty-Two-Bytes: 1"), crlf(g, "Host: a"), nil)
	// Upgrades pass only when granted.
	f(crlf(g, "Host: a", "connection: Upgrade, x", "X: 1", "Upgrade: websocket"), crlf(g, "Host: a", "connection: upgrade", "Upgrade: websocket"), nil)
	f(crlf(g, "Host: a", "Connection: upgrade", "Upgrade: websocket"), crlf(g, "Host: a"), func(f *Framing) { f.Upgrade = false })
	f(crlf(g, "Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"), crlf(g, "Host: a"), nil)
	// Connection is written where it is needed.
	f(crlf(g, "Host: a"), crlf(g, "Host: a", "Connection: close"), func(f *Framing) { f.Close = true })
	f(crlf(g, "Connection: keep-alive", "Host: a"), crlf(g, "Connection: close", "Host: a"), func(f *Framing) { f.Close = true })
	// Framing follows f and keeps its place.
	p := "POST / HTTP/1.1"
	f(crlf(p, "content-length: 05", "Host: a"), crlf(p, "content-length: 5", "Host: a"), nil)
	f(crlf(p, "TRANSFER-encoding: Chunked", "Host: a"), crlf(p, "TRANSFER-encoding: chunked", "Host: a"), nil)
	f(crlf(p, "Content-Length: 5", "Host: a"), crlf(p, "Transfer-Encoding: chunked", "Host: a"), func(f *Framing) { f.Kind = Chunked })
	f(crlf(p, "Transfer-Encoding: chunked", "Host: a"), crlf(p, "Content-Length: 7", "Host: a"), func(f *Framing) { f.Kind, f.Length = Length, 7 })
	f(crlf(p, "Content-Length: 5", "Host: a"), crlf(p, "Host: a"), func(f *Framing) { f.Kind = NoBody })
	f(crlf(p, "Host: a"), crlf(p, "Host: a", "Content-Length: 0"), func(f *Framing) { f.Kind = Length })
	f(crlf(p, "Host: a", "Connection: content-length", "Content-Length: 3"), crlf(p, "Host: a", "Content-Length: 3"), nil)
	// Edits: replaced in place, other lines of the name gone, missing ones appended, nil removes.
	f(crlf(g, "X-Lane: blue", "Host: a", "x-lane: green"), crlf(g, "x-lane: red", "Host: a"), nil, "x-lane: red")
	f(crlf(g, "Host: a"), crlf(g, "Host: a", "x-lane: red", "B: c"), nil, "x-lane: red", "B: c")
	f(crlf(g, "X-Lane: blue", "Host: a", "x-lane: green"), crlf(g, "Host: a"), nil, "X-LANE")
	f(crlf(g, "Host: a"), crlf(g, "Host: a"), nil, "x-lane")
	f(crlf(g, "Host: a"), crlf(g, "Host: b:80"), nil, "Host: b:80")
	f(crlf(g, "Host: a", "V: 1"), crlf(g, "Host: a", "V: 2", "V: 3"), nil, "V: 2", "V: 3")
	f(crlf(g, "Host: a", "Connection: x-lane", "x-lane: blue"), crlf(g, "Host: a", "x-lane: red"), nil, "x-lane: red")
	f(crlf(p, "Host: a", "Content-Length: 1"), crlf(p, "Host: a", "Content-Length: 1", "x: y"), nil, "x: y")
	// HTTP/1.0 becomes 1.1 where it can.
	f(crlf("GET / HTTP/1.0", "Host: a"), crlf("GET / HTTP/1.1", "Host: a"), nil)
	f(crlf("GET / HTTP/1.0", "A: b"), crlf("GET / HTTP/1.0", "A: b", "Connection: keep-alive"), nil)
	f(crlf("GET / HTTP/1.0", "A: b"), crlf("GET / HTTP/1.0", "A: b", "Connection: close"), func(f *Framing) { f.Close = true })
	f(crlf("GET / HTTP/1.0", "A: b"), crlf("GET / HTTP/1.1", "A: b", "host: a"), nil, "host: a")
	f(crlf("GET http://a:1/x HTTP/1.0", "A: b"), crlf("GET /x HTTP/1.1", "Host: a:1", "A: b"), nil)
	f(crlf("POST / HTTP/1.0", "Content-Length: 1"), crlf("POST / HTTP/1.1", "Host: ", "Transfer-Encoding: chunked"), func(f *Framing) { f.Kind = Chunked })
	// Absolute targets become paths.
	f(crlf("GET http://a/x?y HTTP/1.1", "Host: a"), crlf("GET /x?y HTTP/1.1", "Host: a"), nil)
	f(crlf("GET http://a?y HTTP/1.1", "Host: a"), crlf("GET /?y HTTP/1.1", "Host: a"), nil)
	f(crlf("GET http://a HTTP/1.1", "Host: a"), crlf("GET / HTTP/1.1", "Host: b"), nil, "Host: b")
	f(crlf("OPTIONS http://a HTTP/1.1", "Host: a"), crlf("OPTIONS * HTTP/1.1", "Host: a"), nil)
	f(crlf("OPTIONS * HTTP/1.1", "Host: a"), crlf("OPTIONS * HTTP/1.1", "Host: a"), nil)
	f(crlf("CONNECT a:1 HTTP/1.1", "Host: a:1"), crlf("CONNECT a:1 HTTP/1.1", "Host: a:1"), nil)
}

func TestAppendRequestTakesMoreEditsThanAWordHasBits(t *testing.T) {
	in := []byte(crlf("GET / HTTP/1.1", "Host: a", "E69: old"))
	var m traffic.Message
	var f Framing
	_, err := ParseRequest(in, &m, &f, nil)
	require.NoError(t, err)
	var es []traffic.Header
	for i := range 70 {
		es = append(es, traffic.Header{Name: []byte("E" + string(rune('0'+i/10)) + string(rune('0'+i%10))), Value: []byte("new")})
	}
	out := AppendRequest(nil, &m, es, f)
	for _, e := range es {
		require.Equal(t, 1, bytes.Count(out, append(e.Name, ':')), "%s", e.Name)
	}
	require.NotContains(t, string(out), "old")
}

func TestAppendResponse(t *testing.T) {
	f := func(method, in, want string, change func(*Framing), es ...string) {
		t.Helper()
		var m traffic.Message
		var fr Framing
		n, err := ParseResponse([]byte(in), []byte(method), &m, &fr, nil)
		require.NoError(t, err)
		require.Equal(t, len(in), n)
		if change != nil {
			change(&fr)
		} else {
			fr = fr.ForClient(1, false)
		}
		require.Equal(t, want, string(AppendResponse(nil, &m, edits(es...), fr)))
	}
	ok := "HTTP/1.1 200 OK"
	old := func(close bool) func(*Framing) { return func(f *Framing) { *f = f.ForClient(0, close) } }
	f("GET", crlf(ok, "content-length: 5", "A: b"), crlf(ok, "content-length: 5", "A: b"), nil)
	f("GET", crlf("HTTP/1.0 200 OK", "Content-Length: 5"), crlf(ok, "Content-Length: 5"), nil)
	f("GET", crlf("HTTP/1.1 204"), crlf("HTTP/1.1 204 "), nil)
	f("GET", crlf(ok, "Connection: close, X", "X: 1", "Content-Length: 5"), crlf(ok, "Content-Length: 5"), nil)
	f("GET", crlf(ok, "Content-Length: 5", "Keep-Alive: timeout=5"), crlf(ok, "Content-Length: 5", "Connection: close"), func(f *Framing) { *f = f.ForClient(1, true) })
	f("GET", crlf(ok, "Transfer-Encoding: chunked", "Trailer: X"), crlf(ok, "Transfer-Encoding: chunked", "Trailer: X"), nil)
	f("GET", crlf(ok, "A: b"), crlf(ok, "A: b", "Connection: close"), nil)
	// A client of HTTP/1.0.
	f("GET", crlf(ok, "Content-Length: 5"), crlf(ok, "Content-Length: 5", "Connection: keep-alive"), old(false))
	f("GET", crlf(ok, "Content-Length: 5"), crlf(ok, "Content-Length: 5", "Connection: close"), old(true))
	f("GET", crlf(ok, "Transfer-Encoding: chunked", "A: b"), crlf(ok, "A: b", "Connection: close"), old(false))
	f("GET", crlf(ok, "Transfer-Encoding: chunked", "A: b"), crlf(ok, "A: b", "Connection: close"), func(f *Framing) { f.Kind = UntilClose })
	// Answers without a body.
	f("HEAD", crlf(ok, "Content-Length: 5"), crlf(ok, "Content-Length: 5"), nil)
	f("HEAD", crlf(ok, "Transfer-Encoding: chunked"), crlf(ok), nil)
	f("GET", crlf("HTTP/1.1 304 Not Modified", "Content-Length: 5"), crlf("HTTP/1.1 304 Not Modified", "Content-Length: 5"), nil)
	f("GET", crlf("HTTP/1.1 204 No Content", "Content-Length: 5"), crlf("HTTP/1.1 204 No Content"), nil)
	f("GET", crlf("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"), crlf("HTTP/1.1 204 No Content"), nil)
	f("GET", crlf("HTTP/1.1 103 Early Hints", "Link: </a>", "Connection: close"), crlf("HTTP/1.1 103 Early Hints", "Link: </a>"), func(f *Framing) { f.Close = true })
	f("GET", crlf("HTTP/1.1 204 No Content"), crlf("HTTP/1.1 204 No Content"), func(f *Framing) { f.Kind = Length })
	// Tunnels.
	f("GET", crlf("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "A: b"),
		crlf("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade", "A: b"), nil)
	f("CONNECT", crlf(ok, "Content-Length: 5", "A: b"), crlf(ok, "A: b"), nil)
	// Edits.
	f("GET", crlf(ok, "Content-Length: 5", "Server: x"), crlf(ok, "Content-Length: 5", "x-lane: red"), nil, "server", "x-lane: red")
}

func TestOurOwnMistakesPanic(t *testing.T) {
	m := &traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: 1, Status: 200}
	f := func(want string, do func()) {
		t.Helper()
		defer func() {
			t.Helper()
			r := recover()
			require.NotNil(t, r, "no panic")
			require.Contains(t, r, "BUG: ")
			require.Contains(t, r, want)
		}()
		do()
	}
	for _, e := range []struct{ name, value, want string }{
		{"x", "a\r\nb: c", "control"}, {"x", "a\nb", "control"}, {"x", "a\rb", "control"}, {"x", "a\x00b", "control"}, {"x", "a\x7f", "control"},
		{"x", " a", "white space"}, {"x", "a\t", "white space"},
		{"x: y\r\nz", "a", "token"}, {"", "a", "token"}, {"x ", "a", "token"},
		{"Content-Length", "5", "framing"}, {"transfer-encoding", "chunked", "framing"}, {"Connection", "close", "framing"},
		{"TE", "trailers", "framing"}, {"Upgrade", "websocket", "framing"}, {"Keep-Alive", "5", "framing"},
		{"Host", "a/b", "host"}, {"Host", "a,b", "host"},
	} {
		es := []traffic.Header{{Name: []byte(e.name), Value: []byte(e.value)}}
		f(e.want, func() { AppendRequest(nil, m, es, Framing{}) })
		f(e.want, func() { AppendResponse(nil, m, es, Framing{}) })
		require.Error(t, CheckEdit(es[0]))
	}
	f("framing", func() { AppendRequest(nil, m, edits("Content-Length"), Framing{}) })
	f("host", func() { AppendRequest(nil, m, edits("Host"), Framing{}) })
	f("several", func() { AppendRequest(nil, m, edits("Host: a", "host: b"), Framing{}) })
	f("until close", func() { AppendRequest(nil, m, nil, Framing{Kind: UntilClose}) })
	f("chunked", func() {
		AppendRequest(nil, &traffic.Message{Method: []byte("CONNECT"), Target: []byte("a:1")}, nil, Framing{Kind: Chunked})
	})
	f("tunnel", func() { AppendRequest(nil, m, nil, Framing{Kind: Tunnel}) })
	f("-1", func() { AppendRequest(nil, m, nil, Framing{Kind: Length, Length: -1}) })
	f("-1", func() { AppendResponse(nil, m, nil, Framing{Kind: Length, Length: -1}) })
	f("204", func() { AppendResponse(nil, &traffic.Message{Status: 204}, nil, Framing{Kind: Chunked}) })
	f("100", func() { AppendResponse(nil, &traffic.Message{Status: 100}, nil, Framing{Kind: Length, Length: 1}) })
	f("status 0", func() { AppendReply(nil, 0, "", false, false) })
	require.NoError(t, CheckEdit(traffic.Header{Name: []byte("x-lane"), Value: []byte("red")}))
	require.NoError(t, CheckEdit(traffic.Header{Name: []byte("x"), Value: []byte("")}))
}

func TestForClient(t *testing.T) {
	f := func(in Framing, minor uint8, close bool, want Framing) {
		t.Helper()
		require.Equal(t, want, in.ForClient(minor, close))
	}
	f(Framing{Kind: Length, Length: 3, Close: true}, 1, false, Framing{Kind: Length, Length: 3})
	f(Framing{Kind: Length, Length: 3}, 1, true, Framing{Kind: Length, Length: 3, Close: true})
	f(Framing{Kind: Length, Length: 3}, 0, false, Framing{Kind: Length, Length: 3, KeepAlive: true})
	f(Framing{Kind: Length, Length: 3}, 0, true, Framing{Kind: Length, Length: 3, Close: true})
	f(Framing{Kind: Chunked}, 1, false, Framing{Kind: Chunked})
	f(Framing{Kind: Chunked}, 0, false, Framing{Kind: UntilClose, Close: true})
	f(Framing{Kind: UntilClose, Close: true}, 1, false, Framing{Kind: UntilClose, Close: true})
	f(Framing{Kind: Tunnel, Upgrade: true}, 1, false, Framing{Kind: Tunnel, Upgrade: true, Close: true})
	f(Framing{}, 0, false, Framing{KeepAlive: true})
}
