package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// opaque makes s a tcp service.
func opaque(c *proxy.Config) { c.Mesh.Services["s"].Protocol = mesh.TCP }

// listenTCP starts a server that hands each connection to f.
func listenTCP(t testing.TB, f func(c *net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			all.Go(func() {
				defer c.Close()
				f(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

func echoTCP(t testing.TB) string { return listenTCP(t, func(c *net.TCPConn) { io.Copy(c, c) }) }

// greeter is a server that speaks first, as databases do, and names itself.
func greeter(t testing.TB, name string) string {
	return listenTCP(t, func(c *net.TCPConn) {
		io.WriteString(c, name)
		c.CloseWrite()
		io.Copy(io.Discard, c)
	})
}

func TestStreamPassesBytesBothWays(t *testing.T) {
	f, r := startFake(t, opaque)
	c := f.accept()
	require.Len(t, f.dialled, 1, "nobody waits for the client to speak first")
	c.data("\x16not HTTP")
	u := f.upstream(0)
	require.Equal(t, "\x16not HTTP", u.take())
	u.data("answer")
	require.Equal(t, "answer", c.take())
	require.EqualValues(t, 1, r.Active())
	c.eof()
	require.True(t, u.fin, "one direction may end")
	u.data("last words")
	require.Equal(t, "last words", c.take())
	u.eof()
	require.True(t, c.closed && u.closed && !c.wasRST)
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagOpaque, x.flags)
	require.Equal(t, int64(len("\x16not HTTP")), x.in)
	require.Equal(t, int64(len("answerlast words")), x.out)
	require.NotZero(t, x.id)
	require.Zero(t, x.status)
}

// A client may say all it has to say before there is anybody to say it to.
func TestStreamThatEndedBeforeTheServiceWasThere(t *testing.T) {
	f, _ := startFake(t, opaque)
	c := f.accept()
	c.data("question")
	c.eof()
	u := f.upstream(0)
	require.Equal(t, "question", u.take())
	require.True(t, u.fin)
	u.data("answer")
	u.eof()
	require.Equal(t, "answer", c.take())
	require.True(t, c.closed)
}

func TestStreamConnectsToTheNextEndpoint(t *testing.T) {
	f, r := startFake(t, opaque, func(c *proxy.Config) {
		c.Mesh.Services["s"].Endpoints = []string{"127.0.0.1:2", "127.0.0.1:3"}
	})
	c := f.accept()
	c.data("early")
	f.dialled[0].broken()
	u := f.upstream(1)
	require.Equal(t, "early", u.take())
	c.broken()
	require.True(t, u.wasRST, "a reset is passed on")
	require.Equal(t, traffic.FlagOpaque|traffic.FlagDownstreamClosed, r.halves.wait(t, 1)[0].flags)

	c = f.accept() // the first still rests
	f.upstream(2).broken()
	require.True(t, c.wasRST)
	require.Equal(t, traffic.FlagOpaque|traffic.FlagUpstreamClosed, r.halves.wait(t, 2)[1].flags)

	c = f.accept()
	f.dialled[3].broken()
	require.True(t, c.wasRST, "nobody is left")
	require.Equal(t, traffic.FlagOpaque|traffic.FlagUpstreamConnect, r.halves.wait(t, 3)[2].flags)

	c = f.accept()
	require.True(t, c.wasRST)
	require.Equal(t, traffic.FlagOpaque|traffic.FlagNoHealthyUpstream, r.halves.wait(t, 4)[3].flags)
}

// A connection that comes about after its client has gone is of no use to anybody.
func TestStreamWhoseClientLeavesEarly(t *testing.T) {
	f, r := startFake(t, opaque)
	c := f.accept()
	c.broken()
	require.True(t, f.dialled[0].closed)
	require.Equal(t, traffic.FlagOpaque|traffic.FlagDownstreamClosed, r.halves.wait(t, 1)[0].flags)
}

// A connection that was kept from an HTTP request is not lent to a stream.
func TestStreamsOpenConnectionsOfTheirOwn(t *testing.T) {
	var c *mesh.Config
	f, r := startFake(t, func(pc *proxy.Config) { c = pc.Mesh })
	warm(f)
	again := *c
	again.Services = map[string]*mesh.Service{"s": {Protocol: mesh.TCP, Listen: "127.0.0.1:1", Endpoints: []string{"127.0.0.1:2"}}}
	require.NoError(t, r.Reload(&again))
	f.accept()
	require.Len(t, f.dialled, 2)
}

func TestStreamFeelsBackPressure(t *testing.T) {
	f, _ := startFake(t, opaque)
	c := f.accept()
	for range 20 { // nobody is there yet
		if !c.paused {
			c.data(string(make([]byte, 8<<10)))
		}
	}
	require.True(t, c.paused)
	u := f.upstream(0)
	require.False(t, c.paused)
	f.room = 1
	u.data(string(make([]byte, 65<<10)))
	require.True(t, u.paused, "the client is slow")
	require.False(t, c.paused)
	c.data(string(make([]byte, 65<<10)))
	require.True(t, c.paused, "the service is slow")
	c.drain()
	require.False(t, u.paused)
	require.True(t, c.paused)
	u.drain()
	require.False(t, c.paused)
}

func TestIdleStreamsAreClosed(t *testing.T) {
	f, r := startFake(t, opaque)
	c := f.accept()
	u := f.upstream(0)
	f.pass(5*time.Second - 1)
	u.data("x")
	f.pass(5*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.closed && u.closed)
	require.Equal(t, traffic.FlagOpaque, r.halves.wait(t, 1)[0].flags)
}

// Filters hold and end connections as they do requests; where HTTP is given an answer, a stream is reset.
func TestFiltersStrikeStreams(t *testing.T) {
	f, r := startFake(t, opaque, slot(proxy.Fault, &does{action: traffic.Action{Wait: 50 * time.Millisecond}}))
	c := f.accept()
	c.data("patience")
	f.pass(50*time.Millisecond - 1)
	require.Empty(t, f.dialled)
	f.pass(1)
	require.Equal(t, "patience", f.upstream(0).take())
	c.broken()
	require.GreaterOrEqual(t, r.halves.wait(t, 1)[0].latency, 50*time.Millisecond)

	for _, a := range []traffic.Action{{Reset: true}, {Reply: traffic.Reply{Status: 418, Flag: traffic.FlagFaultInjected}}, {Wait: time.Millisecond, Reset: true}} {
		f, r = startFake(t, opaque, slot(proxy.Fault, &does{action: a}))
		c = f.accept()
		f.pass(time.Millisecond)
		require.True(t, c.wasRST)
		require.Empty(t, f.dialled)
		require.Equal(t, traffic.FlagOpaque|a.Reply.Flag, r.halves.wait(t, 1)[0].flags)
	}

	b := &bodies{}
	f, _ = startFake(t, opaque, slot(proxy.Tap, b))
	f.accept().data("secret")
	f.upstream(0).data("secret")
	require.Empty(t, b.in.String()+b.out.String(), "nobody looks into a connection")
}

// More than all buffers on the way hold, both ways at once, the client ending first.
func TestStreamWithRealPeers(t *testing.T) { onEngines(t, streamWithRealPeers) }

func streamWithRealPeers(t *testing.T, on edit) {
	r := start(t, echoTCP(t), on, opaque)
	sent := testkit.Noise(8<<20, 1)
	c := dial(t, r.addr).(*net.TCPConn)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(sent), sha256.Sum256(got), "%d of %d bytes", len(got), len(sent))
	x := r.halves.wait(t, 1)[0]
	require.EqualValues(t, len(sent), x.in)
	require.EqualValues(t, len(sent), x.out)
}

// The colour of a connection is that of its caller: there are no headers to take it from.
func TestStreamsStayInTheirLane(t *testing.T) { onEngines(t, streamsStayInTheirLane) }

func streamsStayInTheirLane(t *testing.T, on edit) {
	log := filepath.Join(t.TempDir(), "access.log")
	base, red := greeter(t, "base"), greeter(t, "red")
	r := start(t, base, on, opaque, func(c *proxy.Config) {
		c.Mesh.AccessLog.Path = log
		c.Mesh.Services["s"].Lanes = map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{red}}}
		c.Mesh.Services["s"].Callers = map[string]string{"t": "127.0.0.1:0", "t@red": "127.0.0.1:0", "t@blue": "127.0.0.1:0"}
		c.Mesh.Services["t"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}, Lanes: map[traffic.Color]mesh.Lane{"red": {}, "blue": {}}}
	})
	ask := func(caller string) (string, error) {
		c, err := net.Dial("tcp", r.Addr("s", caller).String())
		if err != nil { // reset before the client looked
			return "", err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nx-lane: red\r\n\r\n"); err != nil { // just bytes; a reset is told once, here or below
			return "", err
		}
		b := make([]byte, 16)
		n, err := c.Read(b)
		return string(b[:n]), err
	}
	f := func(caller, want string) {
		t.Helper()
		got, err := ask(caller)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("", "base")
	f("t", "base")
	f("t@red", "red")
	_, err := ask("t@blue")
	require.ErrorIs(t, err, syscall.ECONNRESET)
	for _, x := range r.halves.wait(t, 4) {
		require.Equal(t, x.reason == traffic.LaneNotFound, x.flags.Has(traffic.FlagLaneRefused))
	}
	text := metrics(t, r)
	for _, line := range []string{
		`redlane_tcp_connections_total{caller="t",lane="red",lane_resolved="red",reason="matched",service="s"} 1`,
		`redlane_tcp_connections_total{caller="t",lane="blue",lane_resolved="baseline",reason="not_found",service="s"} 1`,
		`redlane_tcp_bytes_total{caller="t",direction="out",lane="red",lane_resolved="red",service="s"} 3`,
		`redlane_tcp_bytes_total{caller="",direction="in",lane="baseline",lane_resolved="baseline",service="s"} 31`,
		`redlane_tcp_connections_open{caller="t",lane="red",lane_resolved="red",service="s"} 0`,
		`redlane_tcp_connection_seconds_count{caller="t",lane="red",lane_resolved="red",service="s"} 1`,
		`redlane_tcp_flags_total{caller="t",flag="LNF",lane="blue",lane_resolved="baseline",service="s"} 1`,
		`redlane_lane_escapes_total{caller="t",service="s"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, `redlane_requests_total{caller="t"`)
	r.stop()
	lines, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, 4, bytes.Count(lines, []byte("\n")))
	require.Regexp(t, `"service":"s","caller":"t","caller_lane":"red","color":"red","lane":"red","reason":"matched","protocol":"tcp","flags":"-","request_id":"[0-9a-f]+","session":"[0-9a-f]+","seq":0,"request_bytes":\d+,"response_bytes":3,"duration_us":\d+,"client":"127.0.0.1:\d+","endpoint":"`+red+`"}`, string(lines))
}

func TestDrainWaitsForStreams(t *testing.T) { onEngines(t, drainWaitsForStreams) }

func drainWaitsForStreams(t *testing.T, on edit) {
	r := start(t, echoTCP(t), on, opaque, timeouts(func(t *mesh.Timeouts) { t.Drain = 300 * time.Millisecond }))
	ends, stays := dial(t, r.addr), dial(t, r.addr)
	ping := func(c net.Conn) error {
		io.WriteString(c, "ping")
		_, err := io.ReadFull(c, make([]byte, 4))
		return err
	}
	require.NoError(t, ping(ends))
	require.NoError(t, ping(stays))
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	require.Eventually(t, func() bool { return !r.Ready() }, 5*time.Second, time.Millisecond)
	require.NoError(t, ping(ends), "what is under way goes on")
	ends.Close()
	require.Equal(t, traffic.FlagOpaque, r.halves.wait(t, 1)[0].flags)
	require.NoError(t, ping(stays))
	<-stopped
	require.Error(t, ping(stays))
	require.Equal(t, traffic.FlagOpaque|traffic.FlagDraining, r.halves.wait(t, 2)[1].flags)
}

func TestReloadLeavesStreamsAlone(t *testing.T) { onEngines(t, reloadLeavesStreamsAlone) }

func reloadLeavesStreamsAlone(t *testing.T, on edit) {
	was := listenTCP(t, func(c *net.TCPConn) { io.Copy(c, c) })
	r := start(t, was, on, opaque)
	old := dial(t, r.addr)
	io.WriteString(old, "a")
	_, err := io.ReadFull(old, make([]byte, 1))
	require.NoError(t, err)
	change := func(p mesh.Protocol, endpoint string) {
		t.Helper()
		require.NoError(t, r.Reload(&mesh.Config{Services: map[string]*mesh.Service{"s": {Protocol: p, Listen: "127.0.0.1:0", Endpoints: []string{endpoint}}}}))
	}
	change(mesh.TCP, greeter(t, "new"))
	got, err := io.ReadAll(dial(t, r.addr))
	require.NoError(t, err)
	require.Equal(t, "new", string(got))

	// The same address speaks HTTP from now on, and later no longer. Connections keep what they began with.
	change(mesh.HTTP, serve(t, echo))
	hc := client(t)
	_, body := get(t, hc, "http://"+r.addr+"/x")
	require.Equal(t, "GET /x ", body)
	kept := dial(t, r.addr)
	io.WriteString(kept, request("GET", "/", ""))
	_, err = kept.Read(make([]byte, 1000))
	require.NoError(t, err)
	change(mesh.TCP, was)
	kept.Read(make([]byte, 1000))
	_, err = kept.Read(make([]byte, 1000))
	require.True(t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), "%v", err)

	io.WriteString(old, "b")
	b := make([]byte, 1)
	_, err = io.ReadFull(old, b)
	require.NoError(t, err)
	require.Equal(t, "b", string(b))
}
