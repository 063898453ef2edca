package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

func proxyCmd() *cobra.Command {
	var config string
	var check bool
	var take takeover
	var data dataPlane
	cmd := &cobra.Command{
		Use:   "proxy -c MESH.YAML",
		Short: "Run the proxy: lanes, timeouts, faults, metrics, access log",
		Long: `Runs the proxy of a mesh configuration (docs/mesh.md). The file is reloaded when it changes, and on SIGHUP; a
wrong one is refused and the old stays. SIGTERM drains: requests under way finish, then the program ends.
SIGUSR1 ends all faults (docs/injecting.md).

With --takeover a new process of the same command line takes over from the one that runs, which drains and
ends with exit code 0; no request is lost (docs/operations.md).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := data.check(); err != nil {
				return err
			}
			m, err := loadMesh(config)
			if err != nil {
				return err
			}
			if check {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %d services\n", config, len(m.Services))
				return nil
			}
			if err := take.ask(cmd.Context()); err != nil {
				return err
			}
			defer take.close()
			p, stop, err := newProxy(m, config, &data, &take, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return errors.Join(runProxy(cmd.Context(), p, m, &take, cmd.OutOrStdout(), cmd.ErrOrStderr()), stop())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "mesh.yaml", "mesh configuration")
	cmd.Flags().BoolVar(&check, "check", false, "only check the configuration")
	take.flag(cmd)
	data.flags(cmd)
	return cmd
}

func loadMesh(path string) (*mesh.Config, error) {
	m, err := mesh.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("%w; name the mesh configuration with -c", err)
	}
	if err == nil {
		err = m.CheckFiles()
	}
	if err != nil {
		return nil, usageError("%w", err)
	}
	return m, nil
}

// newProxy makes a proxy with the fault API on its admin address, and the slots given. stop is for when it
// has ended.
func newProxy(m *mesh.Config, path string, data *dataPlane, take *takeover, logs io.Writer, slots ...proxy.Slot) (p *proxy.Proxy, stop func() error, err error) {
	faults := newFaultPlane(m, logs)
	cfg := proxy.Config{
		Mesh: m, Path: path, Clock: clock.System, Logger: slog.New(slog.NewTextHandler(logs, nil)),
		Sockets: take.sockets(),
		Slots:   append(slots, faults.slots()...),
		Mounts:  faults.mounts(),
	}
	undo, err := data.start(&cfg, logs)
	if err != nil {
		return nil, nil, err
	}
	if p, err = proxy.New(cfg); err != nil {
		return nil, nil, runError("%w", errors.Join(err, undo()))
	}
	faults.proxy.Store(p)
	rest := faults.run()
	return p, func() error {
		rest()
		return undo()
	}, nil
}

// runProxy runs p until ctx ends, or another process takes over, and it has drained. SIGHUP reloads.
func runProxy(ctx context.Context, p *proxy.Proxy, m *mesh.Config, take *takeover, w, logs io.Writer) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan error, 1)
	go func() { done <- take.run(ctx, p, logs) }()
	printListeners(w, p, m)
	for {
		select {
		case <-hup:
			_ = p.ReloadFile() // it has logged and counted what went wrong, and the old configuration stays
		case err := <-done:
			if err != nil {
				return runError("%w", err)
			}
			return nil
		}
	}
}

// printListeners says where the proxy takes requests: clients can connect already.
func printListeners(w io.Writer, p *proxy.Proxy, m *mesh.Config) {
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		if svc := m.Services[name]; svc.Listen != "" {
			fmt.Fprintf(w, "%s on %s\n", name, p.Addr(name, ""))
		}
		for _, caller := range slices.Sorted(maps.Keys(m.Services[name].Callers)) {
			fmt.Fprintf(w, "%s for %s on %s\n", name, caller, p.Addr(name, caller))
		}
	}
	if addr := p.Addr(mesh.Passthrough, ""); addr != nil {
		fmt.Fprintf(w, "intercepted connections on %s\n", addr)
	}
	if addr := p.AdminAddr(); addr != nil {
		fmt.Fprintf(w, "admin on %s\n", addr)
	}
}
