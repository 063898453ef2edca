package sockmap

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/epoll"
	"github.com/redlane/redlane/internal/engine/goroutine"
)

// An echo sends back what comes, reads no more while much of it waits, and ends when the peer does. It begins
// late, when both queues have something.
type echo struct{ engine.Loop }

func (e echo) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) {
	e.Pause(h)
	e.Arm(h, 50*time.Millisecond)
}
func (echo) OnDial(engine.Handle)          {}
func (echo) OnClosed(engine.Handle, error) {}
func (e echo) OnTimer(h engine.Handle)     { e.Resume(h) }
func (e echo) OnEOF(h engine.Handle)       { e.Close(h) }
func (e echo) OnWritable(h engine.Handle)  { e.Resume(h) }
func (e echo) OnData(h engine.Handle, b []byte) {
	if e.Send(h, b) > 256<<10 {
		e.Pause(h)
	}
}

// The drivers hold when they are told to, and read all of both queues.
func TestDrivers(t *testing.T) {
	a := start(t, Config{})
	for name, make := range map[string]func(engine.NewHandler) (engine.Driver, error){
		"goroutine": func(h engine.NewHandler) (engine.Driver, error) {
			return goroutine.New(goroutine.Config{Loops: 1}, h)
		},
		"epoll": func(h engine.NewHandler) (engine.Driver, error) {
			return epoll.New(epoll.Config{Loops: 1, Mixed: a.Mixed()}, h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := make(func(l engine.Loop) engine.Handler { return echo{l} })
			require.NoError(t, err)
			ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0", Tag: 1})
			require.NoError(t, err)
			at := ln.Addr().(*net.TCPAddr).AddrPort()
			require.NoError(t, a.Serve([]netip.AddrPort{at}, nil))
			ctx, stop := context.WithCancel(context.Background())
			done := sendError(func() error { return d.Run(ctx) })
			before := counted(t, a)
			for round := range 20 {
				c, err := net.Dial("tcp", at.String())
				require.NoError(t, err)
				require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
				data := random(uint64(round), 4<<20)
				if round%2 == 0 {
					data = data[:90_000] // all of it and its end are there before anybody reads
				}
				sent := sendError(func() error {
					for b := data; len(b) > 0; {
						n := min(1+len(b)%(1000+round%2*89_000), len(b))
						if _, err := c.Write(b[:n]); err != nil {
							return err
						}
						b = b[n:]
					}
					return c.(*net.TCPConn).CloseWrite()
				})
				time.Sleep(10 * time.Millisecond) // until everything is full
				got, err := io.ReadAll(c)
				require.NoError(t, errors.Join(err, <-sent))
				require.Equal(t, sum(data), sum(got), "%d of %d bytes", len(got), len(data))
				require.NoError(t, c.Close())
			}
			after := counted(t, a)
			require.Greater(t, after.Waited, before.Waited, "nobody had to hold")
			require.Greater(t, after.Full, before.Full, "the queues were not mixed")
			stop()
			require.NoError(t, <-done)
		})
	}
}

func sendError(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}
