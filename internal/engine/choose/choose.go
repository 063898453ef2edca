// Package choose makes the driver that a name stands for. The drivers keep one contract; docs/performance.md
// says what each costs.
package choose

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/epoll"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/internal/engine/uring"
)

// The names.
const (
	Epoll     = "epoll"     // the default
	Uring     = "io_uring"  // epoll where the kernel has not what it needs, or does not let us
	Goroutine = "goroutine" // for comparison, and where something odd is suspected of the others
)

// Names are all that Check takes.
var Names = []string{Epoll, Uring, Goroutine}

// Config of a driver. Zero fields take the default named beside them.
type Config struct {
	Name   string       // one of Names; empty means Epoll
	Loops  int          // 0 means one per processor Go may use
	Logger *slog.Logger // nil logs nothing
	Mixed  *uint64      // see loopkit.Config
}

// Check says why there is no driver called name. The empty name is the default's.
func Check(name string) error {
	if name == "" || slices.Contains(Names, name) {
		return nil
	}
	return fmt.Errorf("no engine %q%s; there are %s", name, conf.DidYouMean(name, Names), strings.Join(Names, ", "))
}

// A Choice is what came of a Config.
type Choice struct {
	Name    string // one of Names
	Instead string // what was asked for and cannot be had here; empty: nothing
}

// Driver makes the driver, which opens nothing yet. That another takes the place of the one asked for is
// one line in the log.
func Driver(cfg Config, newHandler engine.NewHandler) (engine.Driver, Choice, error) {
	if err := Check(cfg.Name); err != nil {
		return nil, Choice{}, err
	}
	c := pick(cfg, uring.Probe)
	d, err := c.driver(cfg, newHandler)
	return d, c, err
}

func pick(cfg Config, probe func() error) Choice {
	name := cmp.Or(cfg.Name, Epoll)
	if name != Uring {
		return Choice{Name: name}
	}
	err := probe()
	if err == nil {
		return Choice{Name: Uring}
	}
	if cfg.Logger != nil {
		cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "engine io_uring cannot be used here, epoll takes its place", slog.Any("error", err))
	}
	return Choice{Name: Epoll, Instead: Uring}
}

func (c Choice) driver(cfg Config, newHandler engine.NewHandler) (engine.Driver, error) {
	switch c.Name {
	case Uring:
		return uring.New(uring.Config{Loops: cfg.Loops, Logger: cfg.Logger}, newHandler)
	case Epoll:
		return epoll.New(epoll.Config{Loops: cfg.Loops, Logger: cfg.Logger, Mixed: cfg.Mixed}, newHandler)
	}
	return goroutine.New(goroutine.Config{Loops: cfg.Loops, Logger: cfg.Logger}, newHandler)
}
