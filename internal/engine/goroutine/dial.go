package goroutine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/socket"
)

// Dial starts to connect on a goroutine of its own, which becomes the reader. timeout <= 0 leaves it to
// the kernel to give up. When Run is ending it returns 0 and nothing follows.
func (l *loop) Dial(addr string, timeout time.Duration) engine.Handle {
	l.serial.Inside("Dial called outside of an event")
	if l.stopped {
		return 0
	}
	c := newConn(l)
	c.handle = l.conns.Add(c)
	ctx, cancel := context.WithCancel(l.driver.ctx)
	c.giveUp = cancel
	l.driver.running.Go(func() { c.dial(ctx, addr, timeout) })
	return c.handle
}

func (c *conn) dial(ctx context.Context, addr string, timeout time.Duration) {
	s, err := connect(ctx, addr, timeout)
	c.giveUp()
	l := c.loop
	l.lock()
	if err == nil && !c.gone {
		err = c.attach(s)
	}
	if err != nil || c.gone {
		if !c.gone {
			l.driver.stats.DialErrors.Add(1)
			c.fail(err)
		}
		l.unlock()
		if s != nil {
			s.Close()
		}
		return
	}
	l.driver.stats.Dialled.Add(1)
	if c.queue.Len() > 0 {
		c.startFlusher()
	} else if c.shut {
		c.sendFIN()
	}
	l.handler.OnDial(c.handle)
	l.unlock()
	c.read()
}

func connect(ctx context.Context, addr string, timeout time.Duration) (stream, error) {
	dialer := net.Dialer{Timeout: timeout, KeepAliveConfig: socket.KeepAlive} // TCP_NODELAY is Go's default
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	} else if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dial %q: want a literal IP and a port, or unix:PATH", addr)
	}
	nc, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return nc.(stream), nil
}
