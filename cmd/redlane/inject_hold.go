package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/control"
	"github.com/redlane/redlane/internal/clock"
)

func injectArmCmd() *cobra.Command {
	var at proxyFlags
	var tok drillToken
	cmd := &cobra.Command{
		Use:   "arm --proxy URL LEASE",
		Short: "Arm a fault at all proxies given and hold it until its ttl is over or the program ends",
		Long: `Arms one lease at all the proxies, or at none, renews it every second, and says at the end what it struck. LEASE is
a file, or the lease itself: '{fault: abort, lane: red, edge: gateway -> packet, share: 10%, ttl: 30s}'.
Exit code 1 when a proxy did not take it, 3 when it ended before its time.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := readLease(args[0])
			if err != nil {
				return err
			}
			cfg, err := at.config(&tok, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if cfg.Token == "" {
				return usageError("inject arm: no drill token given: name its file with --token-file, or put it into %s", drillTokenEnv)
			}
			return holdFault(cmd.Context(), cfg, l, cmd.OutOrStdout())
		},
	}
	at.flag(cmd.Flags())
	tok.flag(cmd.Flags())
	_ = cmd.MarkFlagRequired("proxy") // the flag exists
	return cmd
}

// config is that of a controller which goes by the flags.
func (p *proxyFlags) config(tok *drillToken, logs io.Writer) (cfg control.Config, err error) {
	if cfg.Proxies, err = p.proxies(); err != nil {
		return cfg, err
	}
	cfg.Token, err = tok.read()
	cfg.Clock = clock.System
	var mu sync.Mutex
	cfg.Log = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(logs, line)
	}
	return cfg, err
}

// holdFault arms l and waits for its end, or for ctx's, which ends it.
func holdFault(ctx context.Context, cfg control.Config, l injector.Lease, w io.Writer) (err error) {
	c, err := control.New(cfg)
	if err != nil {
		return usageError("%w", err)
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(runCtx) // ends with its context
	}()
	defer func() {
		stop()
		<-done
	}()
	f, err := c.Arm(ctx, l, nil, "")
	if err != nil {
		return notArmed(err)
	}
	for f.State == injector.Live {
		if clock.System.SleepUntil(ctx, clock.System.Now().Add(50*time.Millisecond)) != nil {
			if f, err = c.Disarm(context.WithoutCancel(ctx), f.ID); err != nil {
				return runError("%w", err)
			}
			break
		}
		f, _ = c.Fault(f.ID) // there is nobody else who could forget it
	}
	fmt.Fprintf(w, "fault %s: %s: looked at %d exchanges, struck %d (%.2f%%, asked %s), spared %d by its caps\n",
		f.ID, f.State, f.Looked, f.Struck, 100*f.Delivered, f.Lease.Share, f.Overflow)
	if f.State != injector.Expired && f.State != injector.Removed {
		return &exitError{exitStopped, fmt.Errorf("stopped: %s", f.Why)}
	}
	return nil
}

// notArmed tells a mistake in what was asked from trouble outside.
func notArmed(err error) error {
	if code := api.Code(err); code != 0 && code < 500 && !errors.Is(err, control.ErrProxy) {
		return usageError("%w", err)
	}
	return runError("%w", err)
}
