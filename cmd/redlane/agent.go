package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector/host"
	"github.com/redlane/redlane/internal/clock"
)

func agentCmd() *cobra.Command {
	var config string
	var check bool
	cmd := &cobra.Command{
		Use:   "agent -c AGENT.YAML",
		Short: "Make a host suffer on purpose: processor, memory, disk, files, processes, clock",
		Long: `Serves leases of faults on this host (docs/agent.md). Only what the configuration names can be hit. Every fault
has a process of its own that takes it back: at the end of its ttl, 3 s after the last renewal, and when the
agent dies, however it does. To start one takes a drill token. SIGUSR1, redlane halt --proxy and the halt file end
all faults and ask for none; SIGTERM also ends the agent.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := loadAgent(config)
			if err != nil {
				return err
			}
			if check {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %d targets\n", config, len(file.Targets))
				return nil
			}
			return runAgent(cmd.Context(), file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "agent.yaml", "agent configuration")
	cmd.Flags().BoolVar(&check, "check", false, "only check the configuration")
	cmd.AddCommand(agentHoldCmd(), agentKeepCmd(), agentNetCmd())
	return cmd
}

func loadAgent(path string) (*host.File, error) {
	file, err := host.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("%w; name the agent configuration with -c", err)
	}
	if err != nil {
		return nil, usageError("%w", err)
	}
	return file, nil
}

// runAgent serves until ctx ends and every fault is taken back.
func runAgent(ctx context.Context, file *host.File, w, logs io.Writer) error {
	ln, err := net.Listen("tcp", file.Listen)
	if err != nil {
		return runError("%w", err)
	}
	defer ln.Close()
	self, err := os.Executable()
	if err != nil {
		return runError("find this program: %w", err)
	}
	a, err := host.New(host.Config{
		File: file, Keeper: []string{self, "agent", "keep"}, Clock: clock.System,
		Log: func(line string) { fmt.Fprintf(logs, "agent: %s\n", line) },
	})
	if err != nil {
		return runError("%w", err)
	}
	return serveAgent(ctx, a, ln, w, "agent")
}

func agentHoldCmd() *cobra.Command {
	var at string
	var tok drillToken
	cmd := &cobra.Command{
		Use:   "hold LEASE",
		Short: "Arm a lease, renew it until it ends, and end it on interrupt",
		Long: `Arms one lease, a JSON object such as {"fault": "pause", "target": "packet-red", "lane": "red", "ttl": "10s"}, renews
it every second, and prints how it began and ended. An interrupt ends it. Exit code 3 when it ended early.
It takes a drill token: redlane inject token.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lease, err := host.ParseLease([]byte(args[0]))
			if err != nil {
				return usageError("lease: %w", err)
			}
			secret, err := tok.read()
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetEscapeHTML(false)
			c := host.Client{Base: "http://" + at, Token: secret, Clock: clock.System}
			s, err := c.Hold(cmd.Context(), lease.Text, func(s host.Status) { _ = out.Encode(s) }) // a closed terminal ends nothing
			if err != nil {
				return runError("%w", err)
			}
			if err := out.Encode(s); err != nil {
				return runError("%w", err)
			}
			if s.State != host.Expired && cmd.Context().Err() == nil {
				return &exitError{exitStopped, fmt.Errorf("lease %s: %s before its ttl", s.ID, s.State)}
			}
			return nil
		},
	}
	tok.flag(cmd.Flags())
	cmd.Flags().StringVar(&at, "agent", "127.0.0.1:9911", "where the agent listens")
	return cmd
}

// agentKeepCmd is what the agent starts for each lease.
func agentKeepCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "keep",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := host.Keep(cmd.Context(), os.Stdin, os.Stdout, clock.System); err != nil {
				return runError("%w", err)
			}
			return nil
		},
	}
}
