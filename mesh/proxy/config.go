package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/mesh"
)

// Config of a Proxy. Zero fields take the default named beside them.
type Config struct {
	Mesh *mesh.Config // required; what New begins with
	Path string       // the file Mesh was loaded from, watched for changes; empty: not watched

	// Filters of the caller's own, see Slot. More can be attached while the proxy runs.
	Slots []Slot

	// Mounts are further handlers of the admin server, by pattern as in http.ServeMux.
	Mounts map[string]http.Handler

	Loops     int                                            // 0 means one per core
	NewDriver func(engine.NewHandler) (engine.Driver, error) // nil means the goroutine driver
	Limits    http1.Limits                                   // of each message; zero fields as in http1
	Watch     time.Duration                                  // how often Path is looked at; 0 means 1s
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
	if c.NewDriver == nil {
		loops, logger := c.Loops, c.Logger
		c.NewDriver = func(h engine.NewHandler) (engine.Driver, error) {
			return goroutine.New(goroutine.Config{Loops: loops, Logger: logger}, h)
		}
	}
	return c.Mesh.Check()
}
