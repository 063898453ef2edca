package http1

import (
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// Every accepted request of the corpus that has usual white space comes out as it went in.
func TestRecordedIsByteExact(t *testing.T) {
	exact := 0
	for _, c := range corpus(t) {
		if !c.server {
			continue
		}
		s := c.stream()
		want := s.read(c.data)
		var again []byte
		for i := range s.heads {
			var err error
			again, err = AppendRecorded(again, &s.heads[i], nil)
			require.NoError(t, err, c.file)
		}
		s2 := c.stream()
		got := s2.read(again)
		require.Len(t, s2.heads, len(s.heads), "%s: %s\n%s", c.file, want, got)
		for i := range s.heads {
			require.Equal(t, normal(s.heads[i]), normal(s2.heads[i]), c.file)
		}
		if string(again) == string(c.data) {
			exact++
		}
	}
	require.Greater(t, exact, 30, "requests that come out byte for byte")
}

// normal is m without the one thing that may differ: how a length was spelt.
func normal(m traffic.Message) traffic.Message {
	m.Headers = append([]traffic.Header(nil), m.Headers...)
	for i, h := range m.Headers {
		if hopByHop(h.Name) == framing {
			m.Headers[i].Value = nil
		}
	}
	return m
}

func TestAppendRecorded(t *testing.T) {
	f := func(in traffic.Message, want string, es ...string) {
		t.Helper()
		got, err := AppendRecorded([]byte("before"), &in, edits(es...))
		require.NoError(t, err)
		require.Equal(t, "before"+want, string(got))
	}
	m := func(minor uint8, body string, lines ...string) traffic.Message {
		return traffic.Message{Method: []byte("POST"), Target: []byte("/x"), Minor: minor, Body: []byte(body), Headers: edits(lines...)}
	}
	p, old := "POST /x HTTP/1.1", "POST /x HTTP/1.0"
	f(m(1, "", "Host: a"), crlf(p, "Host: a"))
	f(m(0, ""), crlf(old)[:len(crlf(old))])
	// Headers of the connection stay.
	f(m(1, "", "HOST: a", "Connection: close", "TE: trailers", "Expect: 100-continue"), crlf(p, "HOST: a", "Connection: close", "TE: trailers", "Expect: 100-continue"))
	// The length is that of the body there is.
	f(m(1, "abc", "content-length: 3", "Host: a"), crlf(p, "content-length: 3", "Host: a")+"abc")
	f(m(1, "ab", "Content-Length: 1000"), crlf(p, "Content-Length: 2")+"ab")
	f(m(1, "", "Content-Length: 0"), crlf(p, "Content-Length: 0"))
	f(m(1, "abc", "Host: a"), crlf(p, "Host: a", "Content-Length: 3")+"abc")
	f(m(1, "abc", "Content-Length: 3", "Content-Length: 4"), crlf(p, "Content-Length: 3")+"abc")
	// Chunked.
	f(m(1, "0123456789abcdef", "Host: a", "transfer-encoding: CHUNKED", "B: c"), crlf(p, "Host: a", "transfer-encoding: chunked", "B: c")+"10\r\n0123456789abcdef\r\n0\r\n\r\n")
	f(m(1, "", "Transfer-Encoding: chunked"), crlf(p, "Transfer-Encoding: chunked")+"0\r\n\r\n")
	f(m(1, "a", "Content-Length: 5", "Transfer-Encoding: chunked"), crlf(p, "Transfer-Encoding: chunked")+"1\r\na\r\n0\r\n\r\n")
	f(m(0, "a", "Transfer-Encoding: chunked"), crlf(old, "Content-Length: 1")+"a")
	with := m(1, "a", "Transfer-Encoding: chunked")
	with.Trailers = edits("X-Sum: 1", "Content-Length: 5", "x-sum: 2")
	f(with, crlf(p, "Transfer-Encoding: chunked")+"1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n")
	// Edits.
	f(m(1, "", "Host: a", "Connection: close", "X: 1", "x: 2"), crlf(p, "Host: b", "X: 3", "x-lane: red"), "Host: b", "connection", "X: 3", "x-lane: red")
}

func TestAppendRecordedRefusesWhatCouldBeMore(t *testing.T) {
	f := func(m traffic.Message, want string, es ...string) {
		t.Helper()
		got, err := AppendRecorded([]byte("before"), &m, edits(es...))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n", "an error is one line")
		require.Equal(t, "before", string(got))
	}
	get := traffic.Message{Method: []byte("GET"), Target: []byte("/"), Minor: 1}
	with := func(change func(m *traffic.Message)) traffic.Message {
		m := get
		change(&m)
		return m
	}
	f(with(func(m *traffic.Message) { m.Method = nil }), "method")
	f(with(func(m *traffic.Message) { m.Method = []byte("GET / HTTP/1.1\r\n\r\nGET") }), "method")
	f(with(func(m *traffic.Message) { m.Target = nil }), "target")
	f(with(func(m *traffic.Message) { m.Target = []byte("/ HTTP/1.1\r\n\r\n") }), "target")
	f(with(func(m *traffic.Message) { m.Minor = 2 }), "version")
	f(with(func(m *traffic.Message) { m.Headers = edits("A: b\r\nC: d") }), `header "A"`)
	f(with(func(m *traffic.Message) { m.Headers = edits("A\r\nB: c") }), `header "A\r\nB"`)
	f(get, `edit of header "A"`, "A: b\nc")
	f(get, `edit of header "Content-Length"`, "Content-Length: 5")
}

func TestAppendLastChunk(t *testing.T) {
	f := func(want string, trailers ...string) {
		t.Helper()
		require.Equal(t, want, string(AppendLastChunk(nil, edits(trailers...))))
	}
	f("0\r\n\r\n")
	f("0\r\ngrpc-status: 0\r\nE: \r\n\r\n", "grpc-status: 0", "E: ")
	f("0\r\nA: b\r\n\r\n", "content-length: 5", "Transfer-Encoding: chunked", "HOST: a", "A: b", "Set-Cookie: x", "Trailer: A", "authorization: x")
	f("0\r\n\r\n", "A: b\r\n\r\nGET / HTTP/1.1", "B\r\n: c", ": d", "")
}

func TestAppendChunk(t *testing.T) {
	require.Equal(t, "x3\r\nabc\r\n", string(AppendChunk([]byte("x"), []byte("abc"))))
	require.Equal(t, "10\r\n0123456789abcdef\r\n", string(AppendChunk(nil, []byte("0123456789abcdef"))))
	require.Empty(t, AppendChunk(nil, nil), "an empty chunk would end the body")
}

func TestAppendReply(t *testing.T) {
	f := func(status int, body string, close, head bool, want string) {
		t.Helper()
		require.Equal(t, want, string(AppendReply(nil, status, body, close, head)))
	}
	text := "Content-Type: text/plain; charset=utf-8"
	f(503, "no\n", false, false, crlf("HTTP/1.1 503 Service Unavailable", text, "Content-Length: 3")+"no\n")
	f(400, "bad\n", true, false, crlf("HTTP/1.1 400 Bad Request", text, "Content-Length: 4", "Connection: close")+"bad\n")
	f(404, "none\n", false, true, crlf("HTTP/1.1 404 Not Found", text, "Content-Length: 5"))
	f(599, "", false, false, crlf("HTTP/1.1 599 ", text, "Content-Length: 0"))
	f(204, "ignored", true, false, crlf("HTTP/1.1 204 No Content", "Connection: close"))
	f(304, "ignored", false, false, crlf("HTTP/1.1 304 Not Modified"))
	f(100, "", true, false, crlf("HTTP/1.1 100 Continue"))
}

// Every request of the corpus can be replayed, and is framed as it was read.
func TestReplayTakesWhatIsRead(t *testing.T) {
	var r Replay
	n := 0
	for _, c := range corpus(t) {
		if !c.server {
			continue
		}
		s := c.stream()
		s.read(c.data)
		for i := range s.heads {
			again, f, err := r.Append(nil, &s.heads[i], nil)
			require.NoError(t, err, c.file)
			var m traffic.Message
			var want Framing
			_, err = ParseRequest(again, &m, &want, nil)
			require.NoError(t, err, c.file)
			require.Equal(t, want, f, c.file)
			n++
		}
	}
	require.Greater(t, n, 30)
}

// What a Replay takes, ParseRequest takes, and reads the same framing; what it refuses could not be written or
// would not be read.
func FuzzReplay(f *testing.F) {
	f.Add("GET", "/", uint8(1), "Host", "a", "Connection", "close", "x-lane", "red", "", uint8(201))
	f.Add("GET", "/", uint8(1), "Host", "a", "X-Lane", "blue", "x-lane", "", "", uint8(200))
	f.Add("GET", "/", uint8(1), "Hos", "a", "X-Lane", "blue", "x-lane", "red", "", uint8(201))
	f.Add("PUT", "http://b/", uint8(1), "Host", "a", "X-Lane", "blue", "x-lane", "red", "four", uint8(201))
	f.Add("PUT", "/", uint8(1), "Host", "a", "Content-Length", "0", "expect", "100-continue", "four", uint8(201))
	f.Add("POST", "http://a/", uint8(1), "Host", "b", "Transfer-Encoding", "chunked", "HOST", "a", "body", uint8(3))
	f.Add("CONNECT", "a:1", uint8(1), "Host", "a:1", "Content-Length", "1", "expect", "100-continue", "b", uint8(40))
	f.Add("OPTIONS", "*", uint8(0), "Upgrade", "h2c", "Connection", "upgrade", "Host", "[::1]:x", "", uint8(2))
	f.Fuzz(func(t *testing.T, method, target string, minor uint8, n1, v1, n2, v2, edit, value, body string, small uint8) {
		m := traffic.Message{
			Method: []byte(method), Target: []byte(target), Minor: minor, Body: []byte(body),
			Headers: []traffic.Header{{Name: []byte(n1), Value: []byte(v1)}, {Name: []byte(n2), Value: []byte(v2)}},
		}
		es := []traffic.Header{{Name: []byte(edit), Value: []byte(value)}}
		if value == "" {
			es[0].Value = nil
		}
		lim := &Limits{Head: 20 + int(small), Headers: 2 + int(small)%2}
		replay := Replay{Limits: *lim}
		got, framed, err := replay.Append([]byte("before"), &m, es)
		want, werr := AppendRecorded([]byte("before"), &m, es)
		var parsed traffic.Message
		var wantFramed Framing
		n := 0
		if werr == nil {
			n, werr = ParseRequest(want[len("before"):], &parsed, &wantFramed, lim)
		}
		if werr != nil || n == 0 {
			require.Error(t, err, "%q", want)
			require.Equal(t, "before", string(got))
			return
		}
		require.NoError(t, err, "%q", want)
		require.Equal(t, string(want), string(got))
		require.Equal(t, wantFramed, framed)
	})
}
