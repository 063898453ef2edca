package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/handover"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/mesh"
)

// Config of a Proxy. Zero fields take the default named beside them.
type Config struct {
	Mesh *mesh.Config // required; what New begins with
	Path string       // the file Mesh was loaded from, watched for changes; empty: none

	// Filters of the caller's own, see Slot. More can be attached while the proxy runs.
	Slots []Slot

	// Sockets of a process that hands over: those that Mesh asks for are gone on with. New works on
	// duplicates; the caller closes these.
	Sockets handover.Sockets

	// Mounts are further handlers of the admin server, by pattern as in http.ServeMux.
	Mounts map[string]http.Handler

	// Collectors are further metrics of the admin server.
	Collectors []prometheus.Collector

	// Addresses is told, each time before a configuration comes into force, which TCP addresses the proxy
	// listens on and connects to under it, in no order. nil: nobody is told.
	Addresses func(listens, connects []netip.AddrPort)

	// Abrupt closes listeners that are no longer asked for before Reload returns, whoever waits there: clients
	// are to be refused from then on, as if the service had ended.
	Abrupt bool

	Loops     int                                            // 0 means one per core
	Engine    string                                         // choose.Auto or one of choose.Names; empty means choose.Auto
	NewDriver func(engine.NewHandler) (engine.Driver, error) // nil means the one called Engine
	Mixed     *uint64                                        // of an accelerator below the engine, see loopkit.Config; with one, connections are not joined
	Limits    http1.Limits                                   // of each message; zero fields as in http1
	Watch     time.Duration                                  // how often files are looked at; 0 means 1s
	Clock     clock.Clock                                    // nil means the machine's
	Logger    *slog.Logger                                   // nil logs nothing
}

func (c *Config) check() error {
	if c.Mesh == nil {
		return errors.New("proxy: no mesh configuration")
	}
	if c.Loops < 0 || c.Watch < 0 {
		return errors.New("proxy: loops and watch must not be negative")
	}
	for i, s := range c.Slots {
		if err := s.check(); err != nil {
			return fmt.Errorf("proxy: slot %d: %w", i, err)
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	c.Limits.Head = cmp.Or(c.Limits.Head, 64<<10) // what http1 takes for 0; sessions need it too
	c.Watch = cmp.Or(c.Watch, time.Second)
	if err := choose.Check(c.Engine); err != nil {
		return err
	}
	if err := c.Mesh.Check(); err != nil {
		return err
	}
	return checkIntercept(c.Mesh)
}

// newEngine makes the driver and notes which one it is.
func (p *Proxy) newEngine(h engine.NewHandler) (d engine.Driver, err error) {
	if p.cfg.NewDriver != nil {
		p.engine.Name = "custom"
		return p.cfg.NewDriver(h)
	}
	d, p.engine, err = choose.Driver(choose.Config{Name: p.cfg.Engine, Loops: p.cfg.Loops, Logger: p.cfg.Logger, Mixed: p.cfg.Mixed}, h)
	return d, err
}
