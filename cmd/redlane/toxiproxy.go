package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/injector/toxiproxy"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/mesh/proxy"
)

// toxiproxyFlags are those of the verb.
type toxiproxyFlags struct {
	listen, config string
	seed           uint64
	ttl            time.Duration
	data           dataPlane
}

func toxiproxyCmd() *cobra.Command {
	var f toxiproxyFlags
	cmd := &cobra.Command{
		Use:   "toxiproxy",
		Short: "Serve the API of Toxiproxy, for tests that use its client libraries",
		Long: `Serves Toxiproxy's HTTP API, so that tests with one of its client libraries run unchanged (docs/toxiproxy.md).
Toxics end after --ttl, and so does enabled: false; POST /reset, POST /halt and SIGUSR1 end them all.

Whoever reaches the API can open ports and connect from here to anywhere: keep it on a private address.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.serve(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8474", "address of the API; port 0 picks a free one")
	fl.StringVar(&f.config, "config", "", "file of proxies to begin with: a JSON list, as POST /populate takes it")
	fl.Uint64Var(&f.seed, "seed", 0, "of the connections that a toxicity below 1 takes, and of jitter and slices")
	fl.DurationVar(&f.ttl, "ttl", toxiproxy.DefaultTTL, "how long a toxic lasts after it was set last; one can ask for less with \"ttl\": \"30s\"")
	f.data.flags(cmd)
	return cmd
}

func (f *toxiproxyFlags) check() error {
	if f.ttl <= 0 {
		return usageError("--ttl %s: must be above 0; a fault without an end is not offered", f.ttl)
	}
	return f.data.check()
}

// serve runs until ctx ends.
func (f *toxiproxyFlags) serve(ctx context.Context, w, logs io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelWarn})) // every change is a reload
	carrier := new(toxiCarrier)
	server := toxiproxy.New(toxiproxy.Config{Carrier: carrier, Clock: clock.System, Seed: f.seed, TTL: f.ttl, Version: version})
	cfg := proxy.Config{
		Mesh: toxiMesh(nil), Clock: clock.System, Logger: logger, Abrupt: true,
		Slots: []proxy.Slot{{Name: "toxics", Level: proxy.Fault, Filter: server.Filter()}},
	}
	stop, err := f.data.start(&cfg, logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if carrier.p, err = proxy.New(cfg); err != nil {
		return runError("%w", err)
	}
	ln, err := net.Listen("tcp", f.listen)
	if err != nil {
		return runError("%w", errors.Join(fmt.Errorf("--listen: %w", err), carrier.p.Close()))
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return carrier.p.Run(ctx) })
	running.Go(func() error { return server.Run(ctx) })
	running.Go(func() error {
		if err := f.populate(ctx, server); err != nil {
			ln.Close()
			return err
		}
		fmt.Fprintf(w, "toxiproxy on %s\n", ln.Addr())
		return serveUntil(ctx, ln, server.Handler(carrier.p.Collector()), logger)
	})
	running.Go(func() error { return resetOnSignal(ctx, server, logger) })
	err = running.Wait()
	var exit *exitError
	if err != nil && !errors.As(err, &exit) {
		err = runError("%w", err)
	}
	return err
}

func (f *toxiproxyFlags) populate(ctx context.Context, server *toxiproxy.Server) error {
	if f.config == "" {
		return nil
	}
	file, err := os.Open(f.config)
	if err != nil {
		return usageError("--config: %w", err)
	}
	defer file.Close()
	if err := server.Populate(ctx, file); err != nil {
		return usageError("%s: %w", f.config, err)
	}
	return nil
}

// serveUntil serves HTTP until ctx ends, and lets requests finish for a second.
func serveUntil(ctx context.Context, ln net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	stopped := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	err := server.Serve(ln)
	if end() { // ctx goes on: it broke
		return fmt.Errorf("serve the API: %w", err)
	}
	<-stopped
	return nil
}

// resetOnSignal ends all faults when somebody sends SIGUSR1.
func resetOnSignal(ctx context.Context, server *toxiproxy.Server, logger *slog.Logger) error {
	halt := make(chan os.Signal, 1)
	signal.Notify(halt, syscall.SIGUSR1)
	defer signal.Stop(halt)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-halt:
			n, err := server.Reset()
			logger.Warn("halted by SIGUSR1", "ended", n, "error", err)
		}
	}
}
