package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
)

func proxyCmd() *cobra.Command {
	var config string
	var check bool
	cmd := &cobra.Command{
		Use:   "proxy -c MESH.YAML",
		Short: "Run the proxy: lanes, timeouts, faults, metrics, access log",
		Long: `Runs the proxy of a mesh configuration (docs/mesh.md). The file is reloaded when it changes, and on SIGHUP; a
wrong one is refused and the old stays. SIGTERM drains: requests under way finish, then the program ends.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := loadMesh(config)
			if err != nil {
				return err
			}
			if check {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %d services\n", config, len(m.Services))
				return nil
			}
			p, err := newProxy(m, config, cmd.ErrOrStderr())
			if err != nil {
				return runError("%w", err)
			}
			return runProxy(cmd.Context(), p, m, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "mesh.yaml", "mesh configuration")
	cmd.Flags().BoolVar(&check, "check", false, "only check the configuration")
	return cmd
}

func loadMesh(path string) (*mesh.Config, error) {
	m, err := mesh.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("%w; name the mesh configuration with -c", err)
	}
	if err != nil {
		return nil, usageError("%w", err)
	}
	return m, nil
}

// newProxy makes a proxy with the fault API on its admin address, and the slots given.
func newProxy(m *mesh.Config, path string, logs io.Writer, slots ...proxy.Slot) (*proxy.Proxy, error) {
	faults := injector.NewTable(injector.Config{Clock: clock.System})
	return proxy.New(proxy.Config{
		Mesh: m, Path: path, Clock: clock.System, Logger: slog.New(slog.NewTextHandler(logs, nil)),
		Slots:  append(slots, proxy.Slot{Name: "faults", Level: proxy.Fault, Filter: faults.Filter()}),
		Mounts: map[string]http.Handler{"/faults": faults.Handler(), "/faults/": faults.Handler(), "/halt": faults.Handler()},
	})
}

// runProxy runs p until ctx ends and it has drained. SIGHUP reloads.
func runProxy(ctx context.Context, p *proxy.Proxy, m *mesh.Config, w io.Writer) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
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
	if addr := p.AdminAddr(); addr != nil {
		fmt.Fprintf(w, "admin on %s\n", addr)
	}
}
