package proxy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

// What two programs could read differently reaches no service. It is answered and its connection ends,
// so that what follows it is never taken for a request.
func TestSmugglingEndsTheConnection(t *testing.T) {
	const second = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	f := func(status, request string) {
		t.Helper()
		f, r := startFake(t)
		c := f.accept()
		c.data(request + second)
		got := c.take()
		require.True(t, strings.HasPrefix(got, "HTTP/1.1 "+status+" "), "%q got %q", request, got)
		require.Contains(t, got, "Connection: close\r\n")
		require.True(t, c.fin)
		require.Empty(t, f.dialled, "%q reached the service", request)
		require.Equal(t, 1, strings.Count(got, "\r\n\r\n"))
		require.Zero(t, r.halves.requests.Load())
	}
	head := func(lines ...string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	f("400", head("Content-Length: 4", "Transfer-Encoding: chunked"))
	f("400", head("Transfer-Encoding: chunked", "Content-Length: 4"))
	f("400", head("Content-Length: 4", "Content-Length: 5"))
	f("400", head("Content-Length: 4", "Content-Length: 4"))
	f("400", head("Content-Length: 4, 4"))
	f("400", head("Content-Length: +4"))
	f("400", head("Content-Length: 0x4"))
	f("400", head("Content-Length : 4"))
	f("400", head(" Content-Length: 4"))
	f("400", head("X: y\r\n Content-Length: 4"))
	f("400", head("Transfer-Encoding: chunked, chunked"))
	f("400", head("Transfer-Encoding: xchunked"))
	f("501", head("Transfer-Encoding: gzip, chunked"))
	f("400", head("Transfer-Encoding: chunked", "Transfer-Encoding: identity"))
	f("400", head("Transfer-Encoding:\x0bchunked"))
	f("400", head("X: a\x00b"))
	f("400", head("X: a\rContent-Length: 4"))
	f("400", "GET / HTTP/1.1\nHost: a\n\n")
	f("400", "GET / HTTP/1.1\r\n\r\n")
	f("400", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	f("505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n")
	f("400", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") // TLS
	f("431", head("X: "+strings.Repeat("x", 70_000)))
	f("414", "GET /"+strings.Repeat("x", 70_000)+" HTTP/1.1\r\nHost: a\r\n\r\n")
}

// A body that turns out wrong ends both connections.
func TestSmugglingInBodies(t *testing.T) {
	f := func(body string) {
		t.Helper()
		f, r := startFake(t)
		c := f.accept()
		c.data("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		u := f.upstream(0)
		c.data(body + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		require.True(t, strings.HasPrefix(c.take(), "HTTP/1.1 400 "), body)
		require.True(t, u.closed)
		require.True(t, c.fin)
		require.NotContains(t, u.take(), "smuggled")
		require.Equal(t, traffic.FlagDownstreamProtocol, r.halves.wait(t, 1)[0].flags)
	}
	f("5\nhello\r\n0\r\n\r\n")
	f("5\r\nhello!\r\n0\r\n\r\n")
	f("-1\r\n\r\n")
	f("ffffffffffffffffff\r\n")
	f("0x5\r\nhello\r\n0\r\n\r\n")
	f("5 \r\nhello\r\n0\r\n\r\n")
}
