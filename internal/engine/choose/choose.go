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
	Auto      = "auto"      // the default: io_uring where it can be used, else epoll
	Epoll     = "epoll"     // runs on every Linux
	Uring     = "io_uring"  // epoll where the kernel has not what it needs, or does not let us
	Goroutine = "goroutine" // for comparison, and where something odd is suspected of the others
)

// Names are those of the drivers. Check takes Auto too.
var Names = []string{Epoll, Uring, Goroutine}

// Config of a driver. Zero fields take the default named beside them.
type Config struct {
	Name   string       // Auto or one of Names; empty means Auto
	Loops  int          // 0 means one per processor Go may use
	Logger *slog.Logger // nil logs nothing
	Mixed  *uint64      // see loopkit.Config
}

// Check says why there is no driver called name. The empty name is the default's.
func Check(name string) error {
	all := append([]string{Auto}, Names...)
	if name == "" || slices.Contains(all, name) {
		return nil
	}
	return fmt.Errorf("no engine %q%s; there are %s", name, conf.DidYouMean(name, all), strings.Join(all, ", "))
}

// A Choice is what came of a Config.
type Choice struct {
	Name    string // one of Names
	Instead string // what was wanted and cannot be had here; empty: nothing
}

// Driver makes the driver, which opens nothing yet. That epoll takes the place of io_uring is one line in the
// log: a warning when io_uring was asked for by name.
func Driver(cfg Config, newHandler engine.NewHandler) (engine.Driver, Choice, error) {
	if err := Check(cfg.Name); err != nil {
		return nil, Choice{}, err
	}
	c := pick(cfg, uring.Probe)
	d, err := c.driver(cfg, newHandler)
	return d, c, err
}

func pick(cfg Config, probe func() error) Choice {
	name, level := cmp.Or(cfg.Name, Auto), slog.LevelWarn
	switch name {
	case Auto:
		level = slog.LevelInfo
	case Uring:
	default:
		return Choice{Name: name}
	}
	err := probe()
	if err == nil {
		return Choice{Name: Uring}
	}
	if cfg.Logger != nil {
		cfg.Logger.LogAttrs(context.Background(), level, "engine io_uring cannot be used here, epoll takes its place", slog.Any("error", err))
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
