package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

func replayCmd() *cobra.Command {
	cfg := replayer.Config{Rate: conf.Rate{Times: 1}}
	var lane string
	var results string
	cmd := &cobra.Command{
		Use:   "replay RECORDING --to HOST:PORT --lane COLOUR",
		Short: "Send a recording into a lane, each request at its due time",
		Long: `Sends the requests of a recording (tape://DIR, DIR, or clickhouse://HOST:PORT/DB?recording=NAME), each at a due
time fixed before the run: as recorded times k (5x) or at a constant rate (2000/s). Sessions keep their
order and their connections. Latency counts from the due time; latency from the send and the lag between
the two are printed beside it. Exit code 5 when the replayer itself could not keep the schedule.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Lane = traffic.Color(lane)
			return runReplay(cmd, cfg, args[0], results)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.To, "to", "", "where the target listens, HOST:PORT")
	f.StringVar(&lane, "lane", "", "lane that every request travels in")
	f.TextVar(&cfg.Rate, "rate", cfg.Rate, "5x: as recorded, five times as fast; 2000/s: evenly")
	f.Uint64Var(&cfg.Seed, "seed", 0, "of the request ids, and with them of every decision left to chance")
	f.StringVar(&cfg.Host, "host", "", "Host header in place of the recorded one")
	f.IntVar(&cfg.Workers, "workers", 0, "loops that send; 0 is one per core")
	f.DurationVar(&cfg.Timeout, "timeout", 10*time.Second, "of a request")
	f.DurationVar(&cfg.LagLimit, "lag-limit", 10*time.Millisecond, "p99 of the replayer's own lag above which the run is invalid")
	f.BoolVar(&cfg.AllowBaseline, "unsafe-baseline", false, "allow a replay without a lane: it reaches whatever serves the baseline")
	f.StringVar(&results, "results", "", "file for the whole result as JSON")
	_ = cmd.MarkFlagRequired("to") // the flag exists
	return cmd
}

func runReplay(cmd *cobra.Command, cfg replayer.Config, recording, results string) error {
	if err := store.Check(recording); err != nil {
		return usageError("%w", err)
	}
	src, err := store.Open(cmd.Context(), recording)
	if err != nil {
		return usageError("%w", err)
	}
	defer src.Close()
	cfg.Workers = roomForPacer(cfg.Workers)
	cfg.Progress = func(p replayer.Progress) { fmt.Fprintln(cmd.ErrOrStderr(), p) }
	result, err := replayer.Run(cmd.Context(), cfg, src)
	if replayer.ErrNoLane(err) {
		return usageError("%w; name one with --lane", err)
	}
	if result == nil {
		return runError("%w", err)
	}
	printReplay(cmd.OutOrStdout(), result)
	if results != "" {
		if err := writeJSON(results, result); err != nil {
			return runError("%w", err)
		}
	}
	switch invalid := result.Valid(); {
	case err != nil:
		return runError("%w", err)
	case result.Interrupted:
		return &exitError{exitStopped, fmt.Errorf("replay: interrupted")}
	case invalid != nil:
		return &exitError{exitInvalid, invalid}
	}
	return nil
}

// roomForPacer returns the number of sending loops, 0 asking for one per core, and lets Go use one
// processor more: the pacer holds a thread of its own, and must not take a loop's.
func roomForPacer(workers int) int {
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	runtime.GOMAXPROCS(workers + 1)
	return workers
}

func printReplay(w io.Writer, r *replayer.Result) {
	fmt.Fprintln(w, &r.Ledger)
	fmt.Fprintf(w, "rate: asked %.1f/s, achieved %.1f/s (%+.2f%%), %d connections for %d sessions\n",
		r.Asked, r.Achieved, (r.Achieved/max(r.Asked, 1e-9)-1)*100, r.Connections, r.Sessions)
	t := &r.Total
	for _, row := range []struct {
		name     string
		p50, p99 time.Duration
		max      time.Duration
	}{
		{"latency from due ", t.Due.Quantile(0.5), t.Due.Quantile(0.99), t.Due.Max()},
		{"latency from send", t.Sent.Quantile(0.5), t.Sent.Quantile(0.99), t.Sent.Max()},
		{"lag              ", t.Lag.Quantile(0.5), t.Lag.Quantile(0.99), t.Lag.Max()},
		{"lag, our part    ", r.Pace.Quantile(0.5), r.Pace.Quantile(0.99), r.Pace.Max()},
	} {
		fmt.Fprintf(w, "%s p50 %-10s p99 %-10s max %s\n", row.name, round(row.p50), round(row.p99), round(row.max))
	}
	e := &t.Errors
	fmt.Fprintf(w, "errors: %d of %d (connect %d, reset %d, timeout %d, protocol %d, 5xx %d); status differs from the recording: %d of %d\n",
		e.Sum(), t.Count, e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx, r.Mismatched, r.Compared)
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(100 * time.Nanosecond)
	}
	return d.Round(10 * time.Microsecond)
}

func writeJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	err = encodeJSON(f, v)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
