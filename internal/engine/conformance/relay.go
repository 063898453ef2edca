package conformance

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A relay joins each accepted connection with one it dials, and copies both ways with back-pressure. It
// is what a proxy does, without looking at the bytes.
type relay struct {
	upstream string
	limit    int  // bytes that may wait before the side that feeds them is paused
	hold     bool // pause the client until the upstream connection is open, instead of queueing

	mostWaiting, mostData atomic.Int64 // largest seen
}

// A side is one end of a joined pair.
type side struct {
	peer engine.Handle
	eof  bool
}

// hooks is the relay on one loop.
func (r *relay) hooks(m *machine) hooks {
	sides := map[engine.Handle]*side{}
	return hooks{
		accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) {
			up := m.Dial(r.upstream, patience)
			sides[h], sides[up] = &side{peer: up}, &side{peer: h}
			if r.hold {
				m.Pause(h)
			}
		},
		dial: func(h engine.Handle) {
			if r.hold {
				m.Resume(sides[h].peer)
			}
		},
		data: func(h engine.Handle, b []byte) {
			waiting := m.Send(sides[h].peer, b)
			raise(&r.mostData, int64(len(b)))
			raise(&r.mostWaiting, int64(waiting))
			if waiting > r.limit {
				m.Pause(h)
			}
		},
		writable: func(h engine.Handle) { m.Resume(sides[h].peer) },
		eof: func(h engine.Handle) {
			s := sides[h]
			s.eof = true
			m.CloseWrite(s.peer)
			if sides[s.peer].eof {
				m.Close(h)
				m.Close(s.peer)
				delete(sides, s.peer)
				delete(sides, h)
			}
		},
		closed: func(h engine.Handle, _ error) {
			if s := sides[h]; s != nil { // nil when the rig ends between accept and dial
				m.Reset(s.peer)
				delete(sides, s.peer)
				delete(sides, h)
			}
		},
	}
}

func raise(most *atomic.Int64, to int64) {
	for old := most.Load(); to > old && !most.CompareAndSwap(old, to); old = most.Load() {
	}
}

// upstream serves connections of package net on a free port, each on a goroutine, until the test ends.
func upstream(t *testing.T, network string, serve func(net.Conn)) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/upstream"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(3 * patience))
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	if network == "unix" {
		return "unix:" + address
	}
	return ln.Addr().String()
}
