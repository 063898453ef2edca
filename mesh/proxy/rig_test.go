package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// rig is a proxy in front of one service called s, with a filter on the outside that counts halves.
type rig struct {
	*proxy.Proxy
	t      testing.TB
	addr   string
	halves *halves
	stop   func() // drains and waits; safe to call twice
	err    error  // of Run, after stop
}

// edit changes the configuration before the proxy is made.
type edit func(*proxy.Config)

func start(t testing.TB, endpoint string, edits ...edit) *rig {
	t.Helper()
	cfg := proxy.Config{
		Mesh:   &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{endpoint}}}},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Loops:  2,
	}
	cfg.Mesh.Timeouts.Drain = 3 * time.Second
	r := &rig{t: t, halves: &halves{}}
	cfg.Slots = []proxy.Slot{{Name: "halves", Level: proxy.Tap, Filter: r.halves}}
	for _, e := range edits {
		e(&cfg)
	}
	var err error
	r.Proxy, err = proxy.New(cfg)
	require.NoError(t, err)
	if a := r.Addr("s", ""); a != nil {
		r.addr = a.String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.err = r.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			panic("the proxy does not stop")
		}
	}
	t.Cleanup(func() {
		r.stop()
		require.NoError(t, r.err)
		r.halves.balanced(t)
		require.Zero(t, r.Active())
	})
	return r
}

func timeouts(f func(*mesh.Timeouts)) edit { return func(c *proxy.Config) { f(&c.Mesh.Timeouts) } }

func slot(level proxy.Level, f traffic.Filter) edit {
	return func(c *proxy.Config) { c.Slots = append(c.Slots, proxy.Slot{Name: "test", Level: level, Filter: f}) }
}

// halves counts Request and Response halves per exchange: each must have exactly one of both.
type halves struct {
	mu struct {
		sync.Mutex
		open  map[*traffic.Exchange]uint64
		wrong []string
		last  []seen
	}
	requests, responses atomic.Int64
}

type seen struct {
	status    int
	flags     traffic.Flags
	id        uint64
	sess, seq uint64
	latency   time.Duration
	first     time.Duration
	in, out   int64
	color     traffic.Color
	lane      traffic.Color
	reason    traffic.LaneReason
	src, dst  string
	endpoint  string
	target    string
}

func (h *halves) Request(x *traffic.Exchange) traffic.Action {
	h.requests.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.open == nil {
		h.mu.open = make(map[*traffic.Exchange]uint64)
	}
	if _, twice := h.mu.open[x]; twice {
		h.mu.wrong = append(h.mu.wrong, "two Request halves without a Response half between them")
	}
	h.mu.open[x] = x.ID
	return traffic.Action{}
}

func (h *halves) Response(x *traffic.Exchange) {
	h.responses.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.mu.open[x]; !ok || id != x.ID {
		h.mu.wrong = append(h.mu.wrong, "a Response half without its Request half")
	}
	delete(h.mu.open, x)
	h.mu.last = append(h.mu.last, seen{
		x.Response.Status, x.Flags, x.ID, x.Session, x.Seq, x.Latency, x.FirstByte, x.Request.BodySize, x.Response.BodySize,
		x.Color, x.Lane, x.LaneReason, x.Src, x.Dst, x.DstAddr.String(), string(x.Request.Target),
	})
}

func (h *halves) balanced(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Empty(t, h.mu.wrong)
	require.Empty(t, h.mu.open, "Request halves without a Response half")
	require.Equal(t, h.requests.Load(), h.responses.Load())
}

// wait returns what was seen once n exchanges are over.
func (h *halves) wait(t testing.TB, n int) []seen {
	t.Helper()
	require.Eventually(t, func() bool { return h.responses.Load() >= int64(n) }, 5*time.Second, time.Millisecond, "no %d exchanges ended", n)
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]seen(nil), h.mu.last...)
}

// serve starts a net/http server.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw starts a server that hands each connection, by number from 0, to f.
func raw(t testing.TB, f func(n int, c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[net.Conn]bool)
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				f(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// readHead reads up to an empty line.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// dial connects and gives the connection ten seconds to live.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends text and returns all that comes until the end of the connection.
func say(t testing.TB, addr, text string) string {
	t.Helper()
	c := dial(t, addr)
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	all, err := io.ReadAll(c)
	require.NoError(t, err, "after %q", all)
	return string(all)
}

// client is a http.Client of its own, whose connections end with the test.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 15 * time.Second}
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: a\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.String()
}
