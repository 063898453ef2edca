package epoll_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/epoll"
)

// echo sends back what it gets. It stops reading while more than 64 KiB wait to be sent.
type echo struct{ l engine.Loop }

func (e *echo) OnAccept(engine.Handle, int, netip.AddrPort, netip.AddrPort) {}
func (e *echo) OnDial(engine.Handle)                                        {}
func (e *echo) OnData(h engine.Handle, b []byte) {
	if e.l.Send(h, b) > 64<<10 {
		e.l.Pause(h)
	}
}
func (e *echo) OnEOF(h engine.Handle)         { e.l.Close(h) }
func (e *echo) OnWritable(h engine.Handle)    { e.l.Resume(h) }
func (e *echo) OnClosed(engine.Handle, error) {}
func (e *echo) OnTimer(engine.Handle)         {}

func Example() {
	d, err := epoll.New(epoll.Config{}, func(l engine.Loop) engine.Handler { return &echo{l} })
	if err != nil {
		panic(err)
	}
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		panic(err)
	}
	fmt.Fprint(c, "packets")
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	c.Close()
	stop()
	fmt.Println(string(b), err, <-ended)
	// Output: packets <nil> <nil>
}
