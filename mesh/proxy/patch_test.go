package proxy_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

func line(name, value string) traffic.Header {
	return traffic.Header{Name: []byte(name), Value: []byte(value)}
}

// patched is what a client gets for an answer of the service in these pieces, and how the exchange ended.
func patched(t *testing.T, p traffic.Patch, pieces ...string) (*fakeConn, *rig, *bodies) {
	t.Helper()
	b := &bodies{}
	f, r := startFake(t, slot(proxy.Tap, b), slot(proxy.Fault, harmed(traffic.Harm{Patch: &p})))
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	for _, s := range pieces {
		if s == "EOF" {
			u.eof()
			continue
		}
		u.data(s)
	}
	return c, r, b
}

func TestPatchHead(t *testing.T) {
	f := func(p traffic.Patch, in, want string) {
		t.Helper()
		c, r, b := patched(t, p, in)
		require.Equal(t, want, c.take())
		if _, body, _ := strings.Cut(want, "\r\n\r\n"); !strings.Contains(want, "chunked") {
			require.Equal(t, body, b.out.String(), "filters see what the client does")
		}
		x := r.halves.wait(t, 1)[0]
		require.Equal(t, want[9:12], string([]byte{byte('0' + x.status/100), byte('0' + x.status/10%10), byte('0' + x.status%10)}))
		require.Zero(t, x.flags)
		require.False(t, c.closed)
	}
	f(traffic.Patch{Status: 500}, answer, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nok")
	f(traffic.Patch{Status: 204}, answer, "HTTP/1.1 204 No Content\r\n\r\n")
	f(traffic.Patch{Status: 304}, answer, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n")
	f(traffic.Patch{Status: 200}, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n")
	f(traffic.Patch{Status: 99}, answer, answer)
	f(traffic.Patch{Headers: []traffic.Header{line("a", "new"), {Name: []byte("gone")}, line("b", "1"), line("content-length", "9"), line("c", "x\r\ny")}},
		"HTTP/1.1 200 OK\r\nGone: 1\r\nA: old\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\na: new\r\nContent-Length: 2\r\nb: 1\r\n\r\nok")
	f(traffic.Patch{Lie: -1}, answer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\no")
	f(traffic.Patch{Lie: -1}, "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20_000), "HTTP/1.1 200 OK\r\nContent-Length: 19999\r\n\r\n"+strings.Repeat("x", 19_999))
	f(traffic.Patch{Lie: -9}, answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f(traffic.Patch{Status: 500, Lie: 1}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
}

func TestPatchPromisesTooLittle(t *testing.T) {
	c, _, _ := patched(t, traffic.Patch{Lie: -3}, wiki+"01234", "56789")
	require.Equal(t, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n0123456", c.take())
	require.False(t, c.closed)
}

// Nothing may come after a response that promised more than there is: it would be taken for the rest.
func TestPatchPromisesTooMuch(t *testing.T) {
	c, _, _ := patched(t, traffic.Patch{Lie: 5}, answer)
	require.Equal(t, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nok", c.take())
	require.True(t, c.closed)
}

func TestPatchPiece(t *testing.T) {
	p := traffic.Patch{Piece: func(b []byte) { copy(b, bytes.ToUpper(b)) }}
	c, _, b := patched(t, p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", "\r\n3\r\ncde\r\n0\r\n\r\n")
	require.Equal(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nAB\r\n3\r\nCDE\r\n0\r\n\r\n", c.take())
	require.Equal(t, "ABCDE", b.out.String())
}

func TestPatchWhole(t *testing.T) {
	unpatched := 0
	p := traffic.Patch{
		Whole:     func(b []byte) []byte { return append([]byte("<"), append(b, '>')...) },
		Unpatched: func() { unpatched++ },
	}
	f := func(want string, wantUnpatched int, pieces ...string) *rig {
		t.Helper()
		unpatched = 0
		c, r, b := patched(t, p, pieces...)
		require.Equal(t, want, c.take())
		require.Equal(t, wantUnpatched, unpatched)
		if len(want) < 1000 && !strings.Contains(want, "chunked") {
			_, body, _ := strings.Cut(want, "\r\n\r\n")
			require.Equal(t, body, b.out.String())
		}
		return r
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>", 0, answer)
	f("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>", 0, answer[:len(answer)-1], "k")
	f("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<abcde>", 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n", "0\r\n\r\n")
	f("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<bare>", 0, "HTTP/1.1 200 OK\r\n\r\nbare", "EOF")
	f("HTTP/1.1 204 No Content\r\n\r\n", 0, "HTTP/1.1 204 No Content\r\n\r\n")
	packed := "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"
	f(packed, 1, packed)
	large := "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1)
	f(large, 1, large)
	growing := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n1\r\ny\r\n0\r\n\r\n"
	f(growing, 1, growing)

	// What breaks off is passed as far as it came.
	r := f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", 0, answer[:len(answer)-1], "EOF")
	require.Equal(t, traffic.FlagUpstreamClosed, r.halves.wait(t, 1)[0].flags)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nnonsense")
}

func TestPatchLetsGo(t *testing.T) {
	g := &grip{}
	h := traffic.Harm{Grip: g, Patch: &traffic.Patch{Status: 500, Whole: func([]byte) []byte { return []byte("no") }}}
	f, r := startFake(t, slot(proxy.Fault, harmed(h)))
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data(answer[:len(answer)-1])
	f.pass(time.Second)
	require.Empty(t, c.take())
	g.over.Store(true)
	f.pass(100 * time.Millisecond)
	require.Equal(t, answer[:len(answer)-1], c.take())
	u.data("k")
	require.Equal(t, "k", c.take())
	require.Zero(t, r.halves.wait(t, 1)[0].flags)
	c.data(ask)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take())
}

// A response of 101 is not one to be changed.
func TestPatchLeavesUpgradesAlone(t *testing.T) {
	f, _ := startFake(t, slot(proxy.Fault, harmed(traffic.Harm{Patch: &traffic.Patch{Status: 500, Lie: 1, Whole: func(b []byte) []byte { return nil }}})))
	c := f.accept()
	c.data("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	u := f.upstream(0)
	u.data("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello")
	require.Contains(t, c.take(), "\r\n\r\nhello")
	u.data("more")
	require.Equal(t, "more", c.take())
}
