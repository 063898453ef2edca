package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/host"
	"github.com/redlane/redlane/injector/netfault"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

func agentNetCmd() *cobra.Command {
	var listen string
	var drills host.Drills
	cfg := netfault.Config{}
	cmd := &cobra.Command{
		Use:   "net",
		Short: "Make the network between named network namespaces bad, or that of marked flows",
		Long: `Serves leases of a bad network (docs/netfault.md): packets from one named network namespace to another are lost,
doubled, late, out of order, slow, or do not arrive; or those with a mark do. Nothing else is touched. All of it is
taken back at the end of the ttl, 3 s after the last renewal, on SIGUSR1, and when the agent dies, however it does.
To start a fault takes a drill token that a key given with --drill-key has signed; to stop one takes nothing. Needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return runError("%w", err)
			}
			defer ln.Close()
			if len(drills.Keys) > 0 {
				if _, err := drills.Read(); err != nil {
					return usageError("%w", err)
				}
				cfg.Allow = allowDrills(&drills)
			}
			a, err := newNetAgent(cfg, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return serveAgent(cmd.Context(), a, ln, cmd.OutOrStdout(), "agent net")
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9912", "address of the API")
	cmd.Flags().StringArrayVar(&drills.Keys, "drill-key", nil, "file with a public key of drill tokens; several may be given, none lets nobody start a fault")
	cmd.PersistentFlags().StringVar(&cfg.Namespaces, "namespaces", netfault.Namespaces, "folder of named network namespaces")
	cmd.AddCommand(agentNetHoldCmd(&cfg), agentNetUndoCmd())
	return cmd
}

// allowDrills reads the keys anew each time: whoever takes one away has it gone at once.
func allowDrills(drills *host.Drills) func(string, traffic.Color) error {
	return func(text string, lane traffic.Color) error {
		keys, err := drills.Read()
		if err != nil {
			return &token.Error{Cause: err.Error()}
		}
		_, err = token.Verify(keys, text, lane, clock.System.Now())
		return err
	}
}

// newNetAgent starts one whose undoer is this program.
func newNetAgent(cfg netfault.Config, logs io.Writer) (*netfault.Agent, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, runError("find this program: %w", err)
	}
	cfg.Undoer, cfg.Stderr = []string{self, "agent", "net", "undo"}, logs
	a, err := netfault.New(cfg)
	if err != nil {
		return nil, runError("%w", err)
	}
	return a, nil
}

func agentNetHoldCmd(cfg *netfault.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "hold LEASE",
		Short: "Hold one lease until its ttl ends, or an interrupt",
		Long: `Puts one lease into force by itself, without an agent that serves, such as
{fault: impair, from: shop, to: bank, way: both, delay: 20ms, loss: 2%, ttl: 30s}, and prints what it did, as JSON,
when it begins and when it is over. An interrupt ends it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var lease netfault.Lease
			if err := conf.Decode("lease", []byte(args[0]), &lease); err != nil {
				return usageError("%w", err)
			}
			if err := lease.Check(netfault.MaxTTL); err != nil {
				return usageError("lease: %w", err)
			}
			a, err := newNetAgent(*cfg, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			ran := make(chan error, 1)
			go func() {
				ran <- a.Run(ctx)
				cancel() // a dead undoer ends the wait
			}()
			held := holdNet(ctx, a, lease, json.NewEncoder(cmd.OutOrStdout()))
			cancel()
			if err := errors.Join(held, <-ran); err != nil {
				return runError("%w", err)
			}
			return nil
		},
	}
}

func holdNet(ctx context.Context, a *netfault.Agent, lease netfault.Lease, out *json.Encoder) error {
	s, err := a.Add(lease)
	if err != nil {
		return err
	}
	if err := out.Encode(s); err != nil {
		return err
	}
	for clock.System.SleepUntil(ctx, clock.System.Now().Add(time.Second)) == nil {
		if _, err := a.Renew(s.ID); errors.Is(err, injector.ErrOver) {
			break
		}
	}
	if s, err = a.Remove(s.ID); err != nil {
		return err
	}
	return out.Encode(s)
}

// agentNetUndoCmd is the child that takes back what an agent leaves behind when it is killed.
func agentNetUndoCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "undo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := netfault.Undo(os.Stdin, os.Stdout); err != nil {
				return runError("undo: %w", err)
			}
			return nil
		},
	}
}
