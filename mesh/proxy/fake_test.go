package proxy_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

// A fake is an engine without sockets and with a clock of its own: a test says what happens, in which
// order and in which pieces, and looks at what was done. It has one loop.
type fake struct {
	t       testing.TB
	handler engine.Handler
	conns   []*fakeConn // by handle, from 1
	dialled []*fakeConn
	now     time.Time
	tags    map[string]int
	mu      sync.Mutex // held during events: posts come from other goroutines

	room    int // what the kernel takes of one connection before bytes wait; 0 is everything
	discard bool
}

type fakeConn struct {
	f       *fake
	h       engine.Handle
	addr    string
	timeout time.Duration // of the dial
	sent    []byte        // what the other side has received
	waiting []byte
	fin     bool // CloseWrite or Close
	closed  bool
	wasRST  bool
	paused  bool
	due     time.Time
	most    int // the most that ever waited
}

func (f *fake) Listen(b engine.Bind) (engine.Listener, error) {
	f.tags[b.Addr] = b.Tag
	return fakeListener{}, nil
}
func (f *fake) Loops() int { return 1 }
func (f *fake) Post(_ int, do func(engine.Loop, engine.Handler)) {
	f.event(func(h engine.Handler) { do(f, h) })
}
func (f *fake) Each(do func(engine.Loop, engine.Handler)) { f.Post(0, do) }

func (f *fake) event(do func(engine.Handler)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.handler)
}

func (f *fake) Run(ctx context.Context) error { <-ctx.Done(); return nil }

type fakeListener struct{}

func (fakeListener) Addr() net.Addr               { return &net.TCPAddr{} }
func (fakeListener) Sockets() ([]*os.File, error) { return nil, nil }
func (fakeListener) Close() error                 { return nil }

func (f *fake) get(h engine.Handle) *fakeConn { return f.conns[h.Index()] }

func (f *fake) open(addr string) *fakeConn {
	c := &fakeConn{f: f, h: engine.Handle(len(f.conns)) | 1<<32, addr: addr}
	f.conns = append(f.conns, c)
	return c
}

func (f *fake) Dial(addr string, timeout time.Duration) engine.Handle {
	c := f.open(addr)
	c.timeout = timeout
	f.dialled = append(f.dialled, c)
	return c.h
}

func (f *fake) Send(h engine.Handle, b []byte) int {
	c := f.get(h)
	if c.fin || c.closed {
		f.t.Error("Send on a closed connection")
	}
	switch {
	case f.discard:
	case f.room > 0:
		c.waiting = append(c.waiting, b...)
		c.most = max(c.most, len(c.waiting))
	default:
		c.sent = append(c.sent, b...)
	}
	return len(c.waiting)
}
func (f *fake) CloseWrite(h engine.Handle) { f.get(h).fin = true }
func (f *fake) Close(h engine.Handle) {
	c := f.get(h)
	c.sent = append(c.sent, c.waiting...)
	c.fin, c.closed, c.waiting = true, true, nil
}
func (f *fake) Reset(h engine.Handle)  { c := f.get(h); c.closed, c.wasRST = true, true }
func (f *fake) Pause(h engine.Handle)  { f.get(h).paused = true }
func (f *fake) Resume(h engine.Handle) { f.get(h).paused = false }
func (f *fake) Now() time.Time         { return f.now }
func (f *fake) Alarm(time.Duration)    { f.t.Error("a proxy has no schedule") }
func (f *fake) Arm(h engine.Handle, d time.Duration) {
	if c := f.get(h); d > 0 {
		c.due = f.now.Add(d)
	} else {
		c.due = time.Time{}
	}
}

// accept opens a client's connection.
func (f *fake) accept() *fakeConn {
	c := f.open("client")
	f.event(func(h engine.Handler) {
		h.OnAccept(c.h, f.tags["127.0.0.1:1"], netip.MustParseAddrPort("127.0.0.1:9"), netip.AddrPort{})
	})
	return c
}

// upstream is the n-th connection dialled, opened if it is not.
func (f *fake) upstream(n int) *fakeConn {
	require.Greater(f.t, len(f.dialled), n, "not dialled")
	c := f.dialled[n]
	if !c.paused && c.most == 0 && c.addr != "" {
		c.addr = ""
		f.event(func(h engine.Handler) { h.OnDial(c.h) })
	}
	return c
}

func (c *fakeConn) data(b string) {
	if len(b) > 0 && !c.closed {
		require.False(c.f.t, c.paused, "data for a paused connection")
		c.f.event(func(h engine.Handler) { h.OnData(c.h, []byte(b)) })
	}
}

// drain lets everything that waits reach the other side.
func (c *fakeConn) drain() {
	if len(c.waiting) > 0 {
		c.sent = append(c.sent, c.waiting...)
		c.waiting = c.waiting[:0]
		if !c.closed {
			c.f.event(func(h engine.Handler) { h.OnWritable(c.h) })
		}
	}
}

func (c *fakeConn) eof() {
	if !c.closed {
		c.f.event(func(h engine.Handler) { h.OnEOF(c.h) })
	}
}

func (c *fakeConn) broken() {
	if !c.closed {
		c.closed = true
		c.f.event(func(h engine.Handler) { h.OnClosed(c.h, errors.New("reset by peer")) })
	}
}

// take returns what was received since the last take.
func (c *fakeConn) take() string {
	s := string(c.sent)
	c.sent = c.sent[:0]
	return s
}

// pass lets time pass and timers fire, in order.
func (f *fake) pass(d time.Duration) {
	end := f.now.Add(d)
	for {
		var next *fakeConn
		for _, c := range f.conns {
			if c != nil && !c.closed && !c.due.IsZero() && !c.due.After(end) && (next == nil || c.due.Before(next.due)) {
				next = c
			}
		}
		if next == nil {
			f.now = end
			return
		}
		f.now = next.due
		next.due = time.Time{}
		f.event(func(h engine.Handler) { h.OnTimer(next.h) })
	}
}

// startFake is a proxy on a fake engine: service s listens on 127.0.0.1:1 and has one endpoint.
func startFake(t testing.TB, edits ...edit) (*fake, *rig) {
	f := &fake{t: t, conns: []*fakeConn{nil}, now: time.Unix(1_700_000_000, 0), tags: map[string]int{}}
	r := start(t, "127.0.0.1:2", append([]edit{func(c *proxy.Config) {
		c.Mesh.Services["s"].Listen = "127.0.0.1:1"
		c.Mesh.Timeouts = mesh.Timeouts{Connect: time.Second, Header: 2 * time.Second, Request: 3 * time.Second, Response: 4 * time.Second, Idle: 5 * time.Second, Pool: 6 * time.Second, Drain: time.Second}
		c.NewDriver = func(h engine.NewHandler) (engine.Driver, error) {
			f.handler = h(f)
			return f, nil
		}
	}}, edits...)...)
	t.Cleanup(func() { // before the rig stops: nothing may be left open
		for _, c := range f.conns[1:] {
			c.broken()
		}
	})
	return f, r
}
