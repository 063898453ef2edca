package main

import (
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/sockmap"
	"github.com/redlane/redlane/mesh/proxy"
)

// A dataPlane is how a proxy moves bytes: the flags that proxy and record share.
type dataPlane struct {
	engine  string
	loops   int
	sockmap bool
	cgroup  string
}

func (d *dataPlane) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.engine, "engine", choose.Auto, choose.Auto+", "+strings.Join(choose.Names, ", ")+"; auto is io_uring where it can be used, else epoll")
	f.IntVar(&d.loops, "loops", 0, "event loops; 0 is one per core that Go may use, which a CPU limit of the container lowers")
	f.BoolVar(&d.sockmap, "sockmap", false, "let bytes between local peers and the proxy skip TCP/IP (Linux, needs capabilities; docs/sockmap.md)")
	f.StringVar(&d.cgroup, "sockmap-cgroup", "", "cgroup v2 folder that holds the proxy and its peers; empty is the root of the hierarchy")
}

func (d *dataPlane) check() error {
	if err := choose.Check(d.engine); err != nil {
		return usageError("--engine: %w", err)
	}
	switch {
	case d.loops < 0:
		return usageError("--loops %d: must not be negative", d.loops)
	case d.cgroup != "" && !d.sockmap:
		return usageError("--sockmap-cgroup: only with --sockmap")
	}
	return nil
}

// start makes cfg go by the flags. stop undoes what outlives the proxy, after it has drained.
func (d *dataPlane) start(cfg *proxy.Config, logs io.Writer) (stop func() error, err error) {
	loops := d.loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	cfg.Engine, cfg.Loops = d.engine, loops
	runtime.GOMAXPROCS(loops + 1) // a loop keeps its processor while it polls; one is for everything else
	if !d.sockmap {
		return func() error { return nil }, nil
	}
	a, err := sockmap.Start(sockmap.Config{Cgroup: d.cgroup})
	if err != nil {
		return nil, runError("--sockmap: %w", err)
	}
	logger := slog.New(slog.NewTextHandler(logs, nil))
	logger.Info("sockmap: messages between the proxy and local peers skip TCP/IP", "cgroup", a.Cgroup())
	cfg.Collectors = append(cfg.Collectors, a)
	cfg.Mixed = a.Mixed()
	cfg.Addresses = func(listens, connects []netip.AddrPort) {
		if err := a.Serve(listens, connects); err != nil {
			logger.Error("sockmap: new connections to some addresses go by TCP", "error", err)
		}
	}
	return func() error {
		if err := a.Close(); err != nil {
			return runError("--sockmap: %w", err)
		}
		return nil
	}, nil
}
