package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/scenarios/redpacket"
	"github.com/redlane/redlane/traffic"
)

func redpacketCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redpacket",
		Short: "The sample system: a red-packet giveaway of four services, and its crowd",
		Long:  "gateway → shake → packet → account over HTTP, each in a process of its own, and a crowd that shakes. See scenarios/library/redpacket.yaml.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, service := range []string{"gateway", "shake", "packet", "account"} {
		cmd.AddCommand(redpacketServiceCmd(service))
	}
	cmd.AddCommand(crowdCmd(), redpacketSystemCmd())
	return cmd
}

func redpacketServiceCmd(service string) *cobra.Command {
	var listen, lane string
	var calls []string
	cmd := &cobra.Command{
		Use:   service,
		Short: "Run the " + service + " service",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			upstreams := make(map[string]string)
			for _, call := range calls {
				name, addr, ok := strings.Cut(call, "=")
				if !ok {
					return usageError("--call %q: want SERVICE=HOST:PORT", call)
				}
				upstreams[name] = addr
			}
			now, done, err := serviceClock()
			if err != nil {
				return err
			}
			defer done()
			err = redpacket.Run(cmd.Context(), redpacket.Config{Service: service, Listen: listen, Lane: traffic.Color(lane), Upstreams: upstreams, Clock: now})
			if err != nil {
				return runError("redpacket %s: %w", service, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on")
	cmd.Flags().StringVar(&lane, "lane", "", "lane this instance belongs to; empty is the baseline")
	cmd.Flags().StringArrayVar(&calls, "call", nil, "where to call a service, SERVICE=HOST:PORT; the listener beside this instance")
	return cmd
}

// serviceClock is the clock of a service of ours, which an agent may put off (docs/agent.md).
func serviceClock() (c clock.Clock, done func(), err error) {
	name := os.Getenv(clock.ShiftEnv)
	if name == "" {
		return clock.System, func() {}, nil
	}
	shifted, err := clock.OpenShifted(clock.System, name)
	if err != nil {
		return nil, nil, runError("%s: %w", clock.ShiftEnv, err)
	}
	return shifted, func() { shifted.Close() }, nil
}

func crowdCmd() *cobra.Command {
	var to string
	var rate conf.Rate
	var length time.Duration
	var users int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "crowd",
		Short: "Shake for packets at a constant rate, as people would, and print what came of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate.PerSecond == 0 {
				return usageError("--rate %s: want requests per second, such as 200/s", rate)
			}
			result, err := redpacket.Crowd(cmd.Context(), redpacket.CrowdConfig{Target: to, Rate: rate.PerSecond, For: length, Users: users, Seed: seed})
			if err != nil {
				return runError("crowd: %w", err)
			}
			text, err := json.Marshal(result)
			if err != nil {
				return runError("crowd: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), string(text))
			return nil
		},
	}
	rate.PerSecond = 200
	cmd.Flags().StringVar(&to, "to", "", "where the gateway is, HOST:PORT")
	cmd.Flags().TextVar(&rate, "rate", rate, "requests per second, such as 200/s")
	cmd.Flags().DurationVar(&length, "for", 10*time.Second, "how long")
	cmd.Flags().IntVar(&users, "users", 5000, "how many people")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of who shakes when")
	_ = cmd.MarkFlagRequired("to") // the flag exists
	return cmd
}
