package goroutine

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

type deaf struct{ accepted chan engine.Handle }

func (d deaf) OnAccept(h engine.Handle, _ int, _, _ netip.AddrPort) { d.accepted <- h }
func (deaf) OnDial(engine.Handle)                                   {}
func (deaf) OnData(engine.Handle, []byte)                           {}
func (deaf) OnEOF(engine.Handle)                                    {}
func (deaf) OnWritable(engine.Handle)                               {}
func (deaf) OnClosed(engine.Handle, error)                          {}
func (deaf) OnTimer(engine.Handle)                                  {}

func TestSocketOptions(t *testing.T) {
	h := deaf{make(chan engine.Handle, 1)}
	d, err := New(Config{Loops: 1}, func(engine.Loop) engine.Handler { return h })
	require.NoError(t, err)
	ln, err := d.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	at := <-h.accepted
	d.Each(func(engine.Loop, engine.Handler) {
		conn := d.loops[0].get(at)
		if conn == nil {
			t.Error("the connection is gone")
			return
		}
		conn.raw.Control(func(fd uintptr) {
			for name, want := range map[string][3]int{
				"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
				"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				"TCP_KEEPIDLE":  {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
				"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			} {
				if got, err := unix.GetsockoptInt(int(fd), want[0], want[1]); err != nil || got != want[2] {
					t.Errorf("%s is %d, %v; want %d", name, got, err, want[2])
				}
			}
		})
	})
	c.Close()
	stop()
	require.NoError(t, <-ended)
}

func TestMisuseIsCaught(t *testing.T) {
	if !invariant.On {
		t.Skip("needs -race or -tags invariant")
	}
	d, err := New(Config{Loops: 1}, func(engine.Loop) engine.Handler { return deaf{} })
	require.NoError(t, err)
	require.PanicsWithValue(t, "BUG: loop method called outside of an event", func() { d.loops[0].Send(1, nil) })
}
