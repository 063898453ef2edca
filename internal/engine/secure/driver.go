package secure

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// Config of a Driver. Zero fields take the default named beside them.
type Config struct {
	// Server says how the connections of a listener are secured; nil leaves them plain. It is asked for
	// each connection, from the events of all loops at once. A nil Server leaves all of them plain.
	Server func(tag int) *Server

	Timeout time.Duration // of a handshake, where Server or DialTLS name none; 0 means 10s
	AtOnce  int           // handshakes of one loop that compute at once, the others wait; 0 means 2
	Pending int           // handshakes of clients that one loop has begun, more are reset; 0 means 1024
	Logger  *slog.Logger  // nil logs nothing
}

// A Server is how connections that come in are secured.
type Server struct {
	TLS     *tls.Config
	Timeout time.Duration // from the accept to the end of the handshake; 0 means Config.Timeout
	NotTLS  []byte        // the answer to a client whose first bytes are text and not TLS; empty: none
}

func (c *Config) check() error {
	if c.Timeout < 0 || c.AtOnce < 0 || c.Pending < 0 {
		return fmt.Errorf("secure: timeout %s, at once %d, pending %d: must not be negative", c.Timeout, c.AtOnce, c.Pending)
	}
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.AtOnce = cmp.Or(c.AtOnce, 2)
	c.Pending = cmp.Or(c.Pending, 1024)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// A Driver is the driver below it, with TLS.
type Driver struct {
	engine.Driver
	cfg        Config
	loops      []*Loop
	handshakes sync.WaitGroup // their goroutines
}

var _ engine.Driver = (*Driver)(nil)

// New makes the driver that newDriver makes, with TLS between it and the Handlers that newHandler makes.
// What is more in the Loop that each of these is given, Of tells.
func New(cfg Config, newDriver func(engine.NewHandler) (engine.Driver, error), newHandler engine.NewHandler) (*Driver, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	d := &Driver{cfg: cfg}
	var err error
	d.Driver, err = newDriver(func(below engine.Loop) engine.Handler {
		l := &Loop{Loop: below, driver: d, number: len(d.loops), computing: make(chan struct{}, cfg.AtOnce)}
		l.above = l.face()
		l.inner = newHandler(l.above)
		l.waiter, _ = l.inner.(Waiter)
		l.doorman, _ = l.inner.(Doorman)
		l.alarmed, _ = l.inner.(engine.Alarmed)
		d.loops = append(d.loops, l)
		return l
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Post queues f as an event of one loop; f sees what is above and below it, and not what is between.
func (d *Driver) Post(loop int, f func(engine.Loop, engine.Handler)) {
	d.Driver.Post(loop, func(_ engine.Loop, h engine.Handler) {
		l := h.(*Loop)
		f(l.above, l.inner)
		l.settle()
	})
}

// Each does the same on every loop, and waits.
func (d *Driver) Each(f func(engine.Loop, engine.Handler)) {
	d.Driver.Each(func(_ engine.Loop, h engine.Handler) {
		l := h.(*Loop)
		f(l.above, l.inner)
		l.settle()
	})
}

// Run runs the driver below, and returns when no handshake is left either.
func (d *Driver) Run(ctx context.Context) error {
	err := d.Driver.Run(ctx)
	for _, l := range d.loops { // a driver that broke may have left some
		for _, s := range l.conns {
			if s.c != nil {
				s.c.giveUp()
			}
		}
	}
	d.handshakes.Wait()
	return err
}
