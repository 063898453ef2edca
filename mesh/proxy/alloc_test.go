//go:build !race && !invariant

package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
)

const browserAsk = "GET /articles/42?page=3 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test/1.0\r\nAccept: text/html,application/xhtml+xml\r\n" +
	"Accept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\nX-Request-Id: 4f1c\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"

const serverAnswer = "HTTP/1.1 200 OK\r\nServer: test\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello, world"

// steady is one keep-alive request and its answer, over and over.
func steady(t testing.TB, edits ...edit) func() {
	f, _ := startFake(t, append(edits, func(c *proxy.Config) { c.Slots = nil })...)
	f.discard = true
	c := f.accept()
	asked, answered := []byte(browserAsk), []byte(serverAnswer)
	f.handler.OnData(c.h, asked)
	u := f.upstream(0).h
	f.handler.OnData(u, answered)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.handler.OnData(c.h, asked)
		f.handler.OnData(u, answered)
	}
}

func TestKeepAliveRequestsAllocateNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(1000, steady(t)))
}

func TestTheAccessLogAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(1000, steady(t, func(c *proxy.Config) { c.Mesh.AccessLog.Path = t.TempDir() + "/access.log" })))
}

// What the session machine costs for one request, parsing and writing both heads included: all of our own
// code but the driver's.
func BenchmarkRequest(b *testing.B) {
	do := steady(b)
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}

func BenchmarkRequestWithAccessLog(b *testing.B) {
	do := steady(b, func(c *proxy.Config) { c.Mesh.AccessLog.Path = "/dev/null" })
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}
