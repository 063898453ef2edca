package main

import (
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

func replayCmd() *cobra.Command { return replayCmdWith((*replay).run) }

// A replay is what its command line asks for.
type replay struct {
	cfg       replayer.Config
	recording string
	plan      planFlags
	send      sender
	viaVegeta vegetaFlags
	rewriting rewriteFlags
	check     laneCheck
	out       replayOutput
	fleet     fleetFlags
}

// replayCmdWith is the verb with something else to do: the same flags, for a worker.
func replayCmdWith(run func(r *replay, cmd *cobra.Command) error) *cobra.Command {
	r := new(replay)
	cfg := &r.cfg
	var lane string
	cmd := &cobra.Command{
		Use:   "replay RECORDING --to HOST:PORT --lane COLOUR",
		Short: "Send a recording into a lane, each request at its due time",
		Long: `Sends the requests of a recording (tape://DIR, DIR, or clickhouse://HOST:PORT/DB?recording=NAME), each at a due
time fixed before the run: as recorded times k (5x), at a constant rate (2000/s) or along a shape. Sessions
keep their order and their connections. Latency counts from the due time; latency from the send and the lag between
the two are printed beside it. Ids and tokens that the target answers replace the recorded ones in later requests
of their session (docs/rewriting.md). Ctrl-C stops sending, waits for answers and reports; twice reports at once.
Exit code 1 when --max-errors or --max-p99 does not hold, 3 when it was stopped, and 5 when the replayer
itself could not keep the schedule.

Before anything is sent, and until the end, every address of the target must confirm by a signed ticket that it is
the lane (docs/lane-safety.md): name the key with --mesh or --ticket-key. A target that does so no more stops the run
in less than a second, with exit code 3.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Lane = traffic.Color(lane)
			r.recording = args[0]
			for _, apply := range []func(*replayer.Config) error{r.send.apply, r.rewriting.set, r.check.apply} {
				if err := apply(cfg); err != nil {
					return err
				}
			}
			if err := r.viaVegeta.apply(cfg, cmd.Flags().Changed); err != nil {
				return err
			}
			if r.fleet.workers > 0 {
				return r.runFleet(cmd)
			}
			return run(r, cmd)
		},
	}
	f := cmd.Flags()
	r.send.flags(f, cfg)
	r.check.replayFlags(f, cfg)
	f.StringVar(&cfg.To, "to", "", "where the target listens: HOST:PORT, http://HOST, https://HOST or unix:PATH")
	f.StringVar(&lane, "lane", "", "lane that every request travels in")
	r.plan.register(f, cfg)
	r.viaVegeta.register(f)
	f.Uint64Var(&cfg.Seed, "seed", 0, "of the request ids, and with them of every decision left to chance")
	f.StringVar(&cfg.Host, "host", "", "Host header in place of the recorded one")
	f.IntVar(&cfg.Workers, "loops", 0, "loops that send; 0 is one per core but one")
	f.DurationVar(&cfg.Timeout, "timeout", 10*time.Second, "of a request")
	f.DurationVar(&cfg.LagLimit, "lag-limit", 10*time.Millisecond, "p99 of the replayer's own lag above which the run is invalid")
	f.BoolVar(&cfg.AllowBaseline, "unsafe-baseline", false, "allow a replay without a lane: it reaches whatever serves the baseline")
	r.out.flags(cmd, cfg)
	r.rewriting.flags(cmd)
	r.fleet.register(f)
	controllerOnly(f, "results", "loops")
	_ = cmd.MarkFlagRequired("to") // the flag exists
	return cmd
}

func (r *replay) run(cmd *cobra.Command) error {
	src, err := r.plan.open(cmd.Context(), &r.cfg, r.recording)
	if err != nil {
		return usageError("%w", err)
	}
	defer src.Close()
	if r.send.dryRun {
		if err := r.plan.rehearsable(&r.cfg); err != nil {
			return err
		}
		return rehearse(cmd, r.cfg, src)
	}
	workers := roomForFeed(r.cfg.Workers)
	if r.cfg.Workers = workers; r.cfg.Driver != nil {
		r.cfg.Workers = 1 // all cores are for the workers of vegeta
	}
	r.out.rate = r.cfg.Asked()
	if err := r.out.begin(cmd, &r.cfg); err != nil {
		return err
	}
	r.out.src = src
	result, err := replayer.Run(cmd.Context(), r.cfg, src)
	return r.out.end(cmd, &r.cfg, result, refusal(result, err))
}

// refusal is err with an exit code, when nothing was sent.
func refusal(result *replayer.Result, err error) error {
	if result != nil {
		return err
	}
	return refusedConfig(err)
}

// refusedConfig is what is said when a replay cannot start.
func refusedConfig(err error) error {
	if replayer.ErrNoLane(err) {
		return usageError("%w; name one with --lane", err)
	}
	if no := unconfirmed(err); no != nil {
		return no
	}
	return notStarted(err)
}

// roomForFeed returns the number of sending loops, 0 asking for one per core but one, and lets Go use at least
// one processor more: the feed needs one, and must not take a loop's.
func roomForFeed(workers int) int {
	if workers == 0 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers+1))
	return workers
}
