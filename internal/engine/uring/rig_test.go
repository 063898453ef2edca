package uring_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/uring"
)

// needed skips a test where the kernel does not have or allow what the driver needs.
func needed(t testing.TB) {
	t.Helper()
	if err := uring.Probe(); err != nil {
		t.Skip(err)
	}
}

// serve runs a driver with one listener until the test ends.
func serve(t testing.TB, cfg uring.Config, newHandler engine.NewHandler) (*uring.Driver, string) {
	t.Helper()
	needed(t)
	d, err := uring.New(cfg, newHandler)
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return d, ln.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// echo sends back what it gets, stops reading while more than 64 KiB wait to be sent, and moves its timer
// with every event, as a session with an idle timeout does.
type echo struct{ l engine.Loop }

func newEcho(l engine.Loop) engine.Handler { return &echo{l} }

func (e *echo) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {}
func (e *echo) OnDial(engine.Handle)                                        {}
func (e *echo) OnData(h engine.Handle, b []byte) {
	e.l.Arm(h, time.Minute)
	if e.l.Send(h, b) > 64<<10 {
		e.l.Pause(h)
	}
}
func (e *echo) OnEOF(h engine.Handle)         { e.l.Close(h) }
func (e *echo) OnWritable(h engine.Handle)    { e.l.Resume(h) }
func (e *echo) OnClosed(engine.Handle, error) {}
func (e *echo) OnTimer(engine.Handle)         {}

// A relay copies between a client and the upstream connection it dials for it.
type relay struct {
	echo
	upstream string
	peer     map[engine.Handle]engine.Handle
}

func newRelay(upstream string) engine.NewHandler {
	return func(l engine.Loop) engine.Handler {
		return &relay{echo{l}, upstream, map[engine.Handle]engine.Handle{}}
	}
}

func (r *relay) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	up := r.l.Dial(r.upstream, time.Second)
	r.peer[h], r.peer[up] = up, h
}

func (r *relay) OnData(h engine.Handle, b []byte) {
	r.l.Arm(h, time.Minute)
	if r.l.Send(r.peer[h], b) > 256<<10 {
		r.l.Pause(h)
	}
}

func (r *relay) OnWritable(h engine.Handle) { r.l.Resume(r.peer[h]) }
func (r *relay) OnEOF(h engine.Handle)      { r.l.CloseWrite(r.peer[h]) }
func (r *relay) OnClosed(h engine.Handle, _ error) {
	r.l.Reset(r.peer[h])
	delete(r.peer, r.peer[h])
	delete(r.peer, h)
}
