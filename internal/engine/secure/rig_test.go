package secure_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/secure"
	"github.com/redlane/redlane/internal/testkit"
)

// patience is how long anything may take that must happen.
const patience = 20 * time.Second

// A rig is a running driver with TLS, the CA both ends trust, and the two ends' configurations.
type rig struct {
	t      *testing.T
	ca     *testkit.CA
	server *tls.Config // of what listens
	client *tls.Config // of what dials
	driver *secure.Driver
	addr   string
	stop   func() // once
}

// onAll runs test on every driver.
func onAll(t *testing.T, test func(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error))) {
	for name, newDriver := range drivers {
		t.Run(name, func(t *testing.T) { test(t, newDriver) })
	}
}

// start runs a driver whose one listener has TLS.
func start(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error), newHandler func(r *rig, l *secure.Loop) engine.Handler, edits ...func(*secure.Config, *rig)) *rig {
	t.Helper()
	ca := testkit.NewCA(t)
	pair := ca.Pair(t, "host", "127.0.0.1", "host.test")
	r := &rig{
		t: t, ca: ca,
		server: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}},
		client: &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test", Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}},
	}
	cfg := secure.Config{Server: func(int) *secure.Server { return &secure.Server{TLS: r.server} }}
	for _, e := range edits {
		e(&cfg, r)
	}
	var err error
	r.driver, err = secure.New(cfg, newDriver, func(l engine.Loop) engine.Handler { return newHandler(r, secure.Of(l)) })
	require.NoError(t, err)
	ln, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0", Tag: 7})
	require.NoError(t, err)
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.driver.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			panic("Run does not return")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// dialRaw opens a TCP connection that lasts no longer than the test.
func (r *rig) dialRaw() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	c.SetDeadline(time.Now().Add(3 * patience))
	r.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// dial opens a connection and does the handshake.
func (r *rig) dial() *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.dialRaw(), r.client)
	require.NoError(r.t, c.Handshake())
	return c
}

// upstream serves TLS connections of package net, each on a goroutine, until the test ends.
func (r *rig) upstream(wrap func(net.Conn) net.Conn, serve func(*tls.Conn)) string {
	return r.upstreamRaw(func(c net.Conn) {
		if wrap != nil {
			c = wrap(c)
		}
		serve(tls.Server(c, r.server))
	})
}

func (r *rig) upstreamRaw(serve func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	r.t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// counted waits until so many handshakes have ended in this way.
func (r *rig) counted(side, result string, n uint64) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.count(side, result) == n }, patience, time.Millisecond,
		"%s %s is not %d: %v", side, result, n, r.driver.Handshakes())
}

func (r *rig) count(side, result string) uint64 {
	for _, c := range r.driver.Handshakes() {
		if c.Side == side && c.Result == result {
			return c.N
		}
	}
	return 0
}

// An event is one call of the Handler.
type event struct {
	kind string
	l    *secure.Loop
	h    engine.Handle
	data string
	err  error
	tag  int
}

// A log is a Handler that only writes down what happens.
type log struct {
	l      *secure.Loop
	events chan event
}

func (g *log) put(kind string, h engine.Handle, data string, err error, tag int) {
	g.events <- event{kind, g.l, h, data, err, tag}
}
func (g *log) OnAccept(h engine.Handle, tag int, _, _ netip.AddrPort) {
	g.put("accept", h, "", nil, tag)
}
func (g *log) OnDial(h engine.Handle)              { g.put("dial", h, "", nil, 0) }
func (g *log) OnData(h engine.Handle, b []byte)    { g.put("data", h, string(b), nil, 0) }
func (g *log) OnEOF(h engine.Handle)               { g.put("eof", h, "", nil, 0) }
func (g *log) OnWritable(h engine.Handle)          { g.put("writable", h, "", nil, 0) }
func (g *log) OnClosed(h engine.Handle, err error) { g.put("closed", h, "", err, 0) }
func (g *log) OnTimer(h engine.Handle)             { g.put("timer", h, "", nil, 0) }

// logged is a rig whose Handlers log to events.
type logged struct {
	*rig
	events chan event
}

func startLogged(t *testing.T, newDriver func(engine.NewHandler) (engine.Driver, error), edits ...func(*secure.Config, *rig)) *logged {
	t.Helper()
	events := make(chan event, 1<<16)
	r := start(t, newDriver, func(_ *rig, l *secure.Loop) engine.Handler { return &log{l, events} }, edits...)
	return &logged{r, events}
}

func (r *logged) next(kind string) event {
	r.t.Helper()
	select {
	case e := <-r.events:
		require.Equal(r.t, kind, e.kind, "data %.40q, error %v", e.data, e.err)
		return e
	case <-time.After(patience):
		require.Fail(r.t, "no "+kind)
		panic("unreachable")
	}
}

func (r *logged) nextData(n int) (data string) {
	r.t.Helper()
	for len(data) < n {
		data += r.next("data").data
	}
	return data
}

func (r *logged) silence(d time.Duration) {
	r.t.Helper()
	select {
	case e := <-r.events:
		require.Fail(r.t, "unexpected "+e.kind, "data %.40q, error %v", e.data, e.err)
	case <-time.After(d):
	}
}

// do runs f as an event of every loop, with those connections that are its own.
func (r *rig) do(f func(l *secure.Loop)) {
	r.driver.Each(func(l engine.Loop, _ engine.Handler) { f(secure.Of(l)) })
}

// on runs f as an event of e's loop.
func (r *rig) on(e event, f func(l *secure.Loop, h engine.Handle)) {
	r.do(func(l *secure.Loop) {
		if l == e.l {
			f(l, e.h)
		}
	})
}

// A relay joins each client with a TLS connection of its own to the upstream, with back-pressure.
type relay struct {
	*secure.Loop
	rig   *rig
	to    *atomic.Pointer[string]
	limit int
	most  *most
	peers map[engine.Handle]engine.Handle
	ended map[engine.Handle]bool
}

// most is the largest amount that waited.
type most struct {
	sync.Mutex
	n int
}

func (m *most) raise(n int) int {
	m.Lock()
	defer m.Unlock()
	m.n = max(m.n, n)
	return m.n
}

func newRelay(to *atomic.Pointer[string], limit int, m *most) func(*rig, *secure.Loop) engine.Handler {
	return func(r *rig, l *secure.Loop) engine.Handler {
		return &relay{l, r, to, limit, m, map[engine.Handle]engine.Handle{}, map[engine.Handle]bool{}}
	}
}

func (r *relay) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	up := r.DialTLS(*r.to.Load(), patience, r.rig.client)
	r.peers[h], r.peers[up] = up, h
}
func (r *relay) OnDial(engine.Handle)  {}
func (r *relay) OnTimer(engine.Handle) {}
func (r *relay) OnData(h engine.Handle, b []byte) {
	n := r.Send(r.peers[h], b)
	r.most.raise(n)
	if n > r.limit {
		r.Pause(h)
	}
}
func (r *relay) OnWritable(h engine.Handle) { r.Resume(r.peers[h]) }
func (r *relay) OnEOF(h engine.Handle) {
	peer := r.peers[h]
	r.ended[h] = true
	r.CloseWrite(peer)
	if r.ended[peer] {
		r.forget(h)
		r.Close(h)
		r.Close(peer)
	}
}
func (r *relay) OnClosed(h engine.Handle, _ error) {
	peer := r.peers[h]
	r.forget(h)
	r.Reset(peer)
}
func (r *relay) forget(h engine.Handle) {
	peer := r.peers[h]
	for _, x := range []engine.Handle{h, peer} {
		delete(r.peers, x)
		delete(r.ended, x)
	}
}

// together runs fs at once and returns the first error.
func together(fs ...func() error) error {
	errs := make(chan error, len(fs))
	for _, f := range fs {
		go func() { errs <- f() }()
	}
	var first error
	for range fs {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// echo sends back what comes, and ends when the peer does.
func echo(c *tls.Conn) {
	if _, err := io.Copy(c, c); err == nil {
		c.CloseWrite()
	}
}

// dripping writes byte by byte, so that every record arrives in pieces.
type dripping struct{ net.Conn }

func (d dripping) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}
