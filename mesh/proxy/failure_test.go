package proxy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// warm makes a connection to the endpoint that has served once and is idle.
func warm(f *fake) (client, upstream *fakeConn) {
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data(answer)
	c.take()
	u.take()
	return c, u
}

// refused says that a dial did not come about.
func (f *fake) refused(n int) {
	c := f.dialled[n]
	c.closed = true
	f.event(func(h engine.Handler) { h.OnClosed(c.h, errors.New("connection refused")) })
}

func TestDeadKeptConnectionsAreTriedOnceMore(t *testing.T) {
	for _, end := range []func(*fakeConn){(*fakeConn).eof, (*fakeConn).broken} {
		f, r := startFake(t)
		c, u := warm(f)
		c.data(ask)
		require.Contains(t, u.take(), "GET / ")
		end(u)
		require.Empty(t, c.take())
		fresh := f.upstream(1)
		require.Contains(t, fresh.take(), "GET / ")
		fresh.data(answer)
		require.Equal(t, answer, c.take())
		x := r.halves.wait(t, 2)[1]
		require.Equal(t, traffic.FlagRetried, x.flags)
		require.Equal(t, 200, x.status)
	}
}

func TestWhatMayNotBeSentTwice(t *testing.T) {
	f := func(what, request, partial string) {
		t.Helper()
		f, r := startFake(t)
		c, u := warm(f)
		c.data(request)
		u.data(partial)
		u.eof()
		require.Len(t, f.dialled, 1, what)
		require.Contains(t, c.take(), "HTTP/1.1 502 ", what)
		require.Equal(t, traffic.FlagUpstreamClosed, r.halves.wait(t, 2)[1].flags)
	}
	f("not idempotent", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "")
	f("the body is gone", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "")
	f("it had begun to answer", ask, "HTTP/1.1 2")

	fk, r := startFake(t) // a fresh connection: the request may be what killed the service
	c := fk.accept()
	c.data(ask)
	fk.upstream(0).eof()
	require.Len(t, fk.dialled, 1)
	require.Contains(t, c.take(), "HTTP/1.1 502 ")
	require.Equal(t, traffic.FlagUpstreamClosed, r.halves.wait(t, 1)[0].flags)

	fk, _ = startFake(t) // once, and not again
	c, u := warm(fk)
	c.data(ask)
	u.eof()
	fk.upstream(1).eof()
	require.Len(t, fk.dialled, 2)
	require.Contains(t, c.take(), "HTTP/1.1 502 ")
}

func TestIdleConnectionsThatEndAreNotUsed(t *testing.T) {
	f := func(end func(*fakeConn)) {
		t.Helper()
		f, _ := startFake(t)
		c, u := warm(f)
		end(u)
		c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
		require.Contains(t, f.upstream(1).take(), "POST / ")
		require.Empty(t, u.take())
	}
	f((*fakeConn).eof)
	f((*fakeConn).broken)
	f(func(u *fakeConn) { u.data("HTTP/1.1 408 Request Timeout\r\n\r\n") }) // an answer nobody asked for
}

func TestTheNextEndpointIsTried(t *testing.T) {
	f, r := startFake(t, func(c *proxy.Config) {
		c.Mesh.Services["s"].Endpoints = []string{"127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"}
	})
	c := f.accept()
	c.data(ask)
	require.Equal(t, "127.0.0.1:2", f.dialled[0].addr)
	require.Equal(t, time.Second, f.dialled[0].timeout, "Timeouts.Connect")
	f.refused(0)
	require.Equal(t, "127.0.0.1:3", f.dialled[1].addr)
	f.refused(1)
	u := f.upstream(2)
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.Equal(t, "127.0.0.1:4", r.halves.wait(t, 1)[0].endpoint)

	for range 3 { // what rests is not asked
		c.data(ask)
		u.data(answer)
	}
	require.Len(t, f.dialled, 3)
	f.pass(time.Second) // and afterwards it is
	c.data(ask)
	require.Len(t, f.dialled, 4)
}

func TestNobodyToConnectTo(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data(ask)
	f.refused(0)
	require.Contains(t, c.take(), "HTTP/1.1 503 ")
	require.Equal(t, traffic.FlagUpstreamConnect, r.halves.wait(t, 1)[0].flags)
	c.data(ask)
	require.Contains(t, c.take(), "HTTP/1.1 503 ")
	require.Equal(t, traffic.FlagNoHealthyUpstream, r.halves.wait(t, 2)[1].flags)
	require.Len(t, f.dialled, 1, "it rests")

	rest := 100 * time.Millisecond
	for n := 1; n < 8; n++ { // longer each time
		f.pass(rest - 1)
		c.data(ask)
		require.Len(t, f.dialled, n)
		f.pass(1)
		c.data(ask)
		require.Len(t, f.dialled, n+1)
		f.refused(n)
		rest = min(2*rest, 5*time.Second)
		c.take()
		c = f.accept()
	}
	f.pass(rest)
	c = f.accept()
	c.data(ask)
	f.upstream(8).data(answer)
	require.Equal(t, answer, c.take())
}

func TestCutsAreSeenAsCuts(t *testing.T) {
	f := func(head string, end func(*fakeConn), rst bool, flag traffic.Flags) {
		t.Helper()
		f, r := startFake(t)
		c := f.accept()
		c.data(ask)
		u := f.upstream(0)
		u.data(head + "partial")
		end(u)
		require.True(t, c.closed)
		require.Equal(t, rst, c.wasRST)
		require.False(t, strings.HasSuffix(c.take(), "0\r\n\r\n"))
		require.Equal(t, flag, r.halves.wait(t, 1)[0].flags)
	}
	const length, chunked, bare = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n", "HTTP/1.1 200 OK\r\n\r\n"
	f(length, (*fakeConn).eof, false, traffic.FlagUpstreamClosed)
	f(length, (*fakeConn).broken, false, traffic.FlagUpstreamClosed)
	f(chunked, (*fakeConn).eof, false, traffic.FlagUpstreamClosed)
	f(chunked, (*fakeConn).broken, false, traffic.FlagUpstreamClosed)
	f(chunked, func(u *fakeConn) { u.data("123456789not a chunk size") }, false, traffic.FlagUpstreamProtocol)
	f(bare, (*fakeConn).broken, true, traffic.FlagUpstreamClosed) // a close would look like the end
}

func TestServicesThatBreakTheProtocol(t *testing.T) {
	f := func(response string, also ...traffic.Flags) {
		t.Helper()
		f, r := startFake(t)
		c := f.accept()
		c.data(ask)
		u := f.upstream(0)
		u.data(response)
		require.Contains(t, c.take(), "HTTP/1.1 502 ")
		require.True(t, u.closed)
		want := traffic.FlagUpstreamProtocol
		for _, flag := range also {
			want |= flag
		}
		require.Equal(t, want, r.halves.wait(t, 1)[0].flags)
	}
	f("SSH-2.0-OpenSSH\r\n\r\n")
	f("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
	f("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n") // unasked
	f("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 70_000))
	f(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 65), traffic.FlagInterim)
}

func TestMoreThanTheResponseEndsTheConnection(t *testing.T) {
	f, _ := startFake(t)
	c := f.accept()
	c.data(ask)
	f.upstream(0).data(answer + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
	require.Equal(t, answer, c.take())
	require.True(t, f.dialled[0].closed)
	c.data(ask)
	f.upstream(1).data(answer)
	require.Equal(t, answer, c.take())
}

func TestClientsThatHangUp(t *testing.T) {
	f := func(what string, request, response string, end func(*fakeConn), upstreamGone bool) {
		t.Helper()
		f, r := startFake(t)
		c := f.accept()
		c.data(request)
		u := f.upstream(0)
		u.data(response)
		end(c)
		x := r.halves.wait(t, 1)[0]
		require.Equal(t, traffic.FlagDownstreamClosed, x.flags, what)
		require.Equal(t, upstreamGone, u.closed, what)
	}
	f("while it waits", ask, "", (*fakeConn).broken, true)
	f("within the response", ask, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1", (*fakeConn).broken, true)
	f("within its body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1", "", (*fakeConn).broken, true)
	f("within its body, politely", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1", "", (*fakeConn).eof, true)

	fk, r := startFake(t) // before there is a connection, which is then kept for others
	c := fk.accept()
	c.data(ask)
	c.broken()
	require.Equal(t, traffic.FlagDownstreamClosed, r.halves.wait(t, 1)[0].flags)
	u := fk.upstream(0)
	c = fk.accept()
	c.data(ask)
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.Len(t, fk.dialled, 1)
}

func TestAnswersBeforeTheBodyIsThrough(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
	c.data("23") // both ways at once
	u.data("ab")
	require.True(t, strings.HasSuffix(u.take(), "\r\n\r\n123"))
	u.data("cd")
	require.True(t, strings.HasSuffix(c.take(), "\r\n\r\nabcd"))
	require.True(t, u.closed, "it waits for a body that nobody sends")
	require.True(t, c.fin)
	require.False(t, c.closed)
	c.data("4567") // thrown away, so that no reset overtakes the answer
	c.eof()
	require.True(t, c.closed)
	require.Zero(t, r.halves.wait(t, 1)[0].flags)

	f, _ = startFake(t) // the service says that it closes: so do we
	c = f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
	f.upstream(0).data("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	require.Contains(t, c.take(), "Connection: close\r\n")
	require.True(t, c.fin)
}

func TestExpectContinue(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	u := f.upstream(0)
	require.Contains(t, u.take(), "Expect: 100-continue\r\n")
	require.Empty(t, c.take(), "not invented")
	u.data("HTTP/1.1 100 Continue\r\n\r\n")
	require.Equal(t, "HTTP/1.1 100 Continue\r\n\r\n", c.take())
	c.data("body")
	require.Equal(t, "body", u.take())
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.Equal(t, traffic.FlagContinued, r.halves.wait(t, 1)[0].flags)
	require.False(t, c.fin)

	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	u.data("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
	require.Contains(t, c.take(), "Connection: close\r\n") // whether a body follows, nobody can know
	require.True(t, c.fin)
}

func TestTunnels(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	u := f.upstream(0)
	head := u.take()
	require.Contains(t, head, "Upgrade: websocket\r\n")
	require.NotContains(t, head, "early", "not before the service has agreed")
	u.data("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	require.Equal(t, "early", u.take())
	got := c.take()
	require.Contains(t, got, "HTTP/1.1 101 ")
	require.Contains(t, got, "Upgrade: websocket\r\n")
	require.True(t, strings.HasSuffix(got, "\r\n\r\nhello"))
	c.data("GET / HTTP/1.1\r\n\r\n") // no longer HTTP
	require.Equal(t, "GET / HTTP/1.1\r\n\r\n", u.take())
	u.data("x")
	require.Equal(t, "x", c.take())
	c.eof()
	require.True(t, u.fin, "one direction may end")
	u.data("last words")
	require.Equal(t, "last words", c.take())
	require.Zero(t, r.halves.responses.Load())
	u.eof()
	require.True(t, c.closed)
	require.True(t, u.closed)
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagUpgraded, x.flags)
	require.Equal(t, int64(len("early")+len("GET / HTTP/1.1\r\n\r\n")), x.in)
	require.Equal(t, int64(len("hello")+len("x")+len("last words")), x.out)

	f, _ = startFake(t) // refused: HTTP goes on
	c = f.accept()
	c.data("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + ask)
	u = f.upstream(0)
	u.data(answer)
	require.Equal(t, answer, c.take())
	u.data(answer)
	require.Equal(t, answer, c.take())
}

func TestConnectIsRefused(t *testing.T) {
	f, _ := startFake(t)
	c := f.accept()
	c.data("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
	require.Contains(t, c.take(), "HTTP/1.1 501 ")
	require.Empty(t, f.dialled)
}
