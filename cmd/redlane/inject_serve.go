package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector/control"
)

func injectServeCmd() *cobra.Command {
	var at proxyFlags
	var tok drillToken
	var listen string
	var cfg control.Config
	cmd := &cobra.Command{
		Use:   "serve --proxy URL",
		Short: "Serve the API that drills and stock Chaos Toolkit experiments use",
		Long: `Serves /v1/faults, /v1/guards, /v1/slo/SERVICE and /v1/halt over HTTP (docs/injecting.md). What was armed through it
is held at all proxies for as long as it runs. A request that starts something brings its drill token in the
header x-redlane-drill; with --token-file those without one use that, so keep the address private then.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limits := cfg.Limits
			var err error
			if cfg, err = at.config(&tok, cmd.ErrOrStderr()); err != nil {
				return err
			}
			cfg.Limits = limits
			c, err := control.New(cfg)
			if err != nil {
				return usageError("%w", err)
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				c.Close()
				return runError("%w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "faults at %d proxies on http://%s\n", len(cfg.Proxies), ln.Addr())
			return serveController(cmd.Context(), c, ln)
		},
	}
	f := cmd.Flags()
	at.flag(f)
	tok.flag(f)
	f.StringVar(&listen, "listen", "127.0.0.1:7070", "address of the API")
	f.TextVar(&cfg.Limits.ErrorRate, "slo-errors", cfg.Limits.ErrorRate, "limit of /v1/slo where the question names none, such as 1%")
	f.DurationVar(&cfg.Limits.P99, "slo-p99", 0, "limit of /v1/slo where the question names none, such as 800ms")
	_ = cmd.MarkFlagRequired("proxy") // the flag exists
	return cmd
}

// serveController runs c and its API until ctx ends. The API ends first: nothing is armed after that.
func serveController(ctx context.Context, c *control.Controller, ln net.Listener) error {
	server := &http.Server{Handler: c.Handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- c.Run(runCtx) }()
	var err error
	select {
	case <-ctx.Done():
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			server.Close()
		}
		err = <-served
	case err = <-served:
	}
	stop()
	if e := <-ran; !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return runError("%w", err)
	}
	return nil
}
