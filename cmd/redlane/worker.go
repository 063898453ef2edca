package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/fleet"
	"github.com/redlane/redlane/traffic"
)

func workerCmd() *cobra.Command {
	var fl busFlags
	var name string
	var labels map[string]string
	var loops int
	var once, quiet bool
	cmd := &cobra.Command{
		Use:   "worker --bus nats://HOST:PORT",
		Short: "Wait for replays that many workers share, and do a part of each",
		Long: `Waits on a bus for runs (redlane replay --workers N), sends its share of each, and goes on waiting. It opens the
recording itself, by the same name. An interrupt hands what it has back to the other workers. A worker that
cannot reach the bus stops sending within a second.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fl.url == "" {
				return usageError("worker: no bus given; name one with --bus nats://HOST:PORT")
			}
			host, _ := os.Hostname() // a name for people; without one the rest will do
			name = cmp.Or(name, fmt.Sprintf("%s-%d", cmp.Or(host, "worker"), os.Getpid()))
			loops = roomForFeed(loops)
			log := func(line string) { fmt.Fprintf(cmd.ErrOrStderr(), "worker %s: %s\n", name, line) }
			connectLog := log
			if quiet {
				connectLog = func(string) {}
			}
			b, err := reach(cmd.Context(), &fl, name, connectLog)
			if err != nil || b == nil {
				return err
			}
			defer b.Close()
			workLog := log
			if quiet {
				workLog = func(string) {}
			}
			err = fleet.Work(cmd.Context(), fleet.WorkerConfig{
				Bus: b, Engine: fleet.Replay(prepareWorker(cmd.Context(), loops)),
				ID: randomName(6), Name: name, Labels: labels, Loops: loops, Once: once, Log: workLog,
			})
			if err != nil {
				return &exitError{exitInvalid, fmt.Errorf("worker %s: %w", name, err)}
			}
			return nil
		},
	}
	f := cmd.Flags()
	fl.register(f)
	f.StringVar(&name, "name", "", "for people; host and process when not given")
	f.StringToStringVar(&labels, "label", nil, "KEY=VALUE, for runs that ask for it")
	f.IntVar(&loops, "loops", 0, "loops that send; 0 is one per core. Work is dealt out in proportion")
	f.BoolVar(&once, "once", false, "one run, then leave; exit code 5 when it was invalid")
	f.BoolVar(&quiet, "quiet", false, "say only what went wrong")
	return cmd
}

// reach connects, and waits for a bus that is not there yet. The Bus is nil when ctx ends first.
func reach(ctx context.Context, fl *busFlags, name string, log func(string)) (*bus.Bus, error) {
	for told := false; ; told = true {
		b, err := fl.connect(fl.url, "redlane worker "+name, log)
		var exit *exitError
		switch {
		case err == nil:
			return b, nil
		case errors.As(err, &exit):
			return nil, err
		case !bus.NotThere(err):
			return nil, runError("%w", err)
		case !told:
			log(err.Error() + "; waiting for it")
		}
		if clock.System.SleepUntil(ctx, clock.System.Now().Add(300*time.Millisecond)) != nil {
			return nil, nil //nolint:nilerr // an end that was asked for
		}
	}
}

// prepareWorker makes what a run says into a configuration for this machine.
func prepareWorker(ctx context.Context, loops int) func([]byte) (fleet.Open, error) {
	return func(spec []byte) (fleet.Open, error) {
		r, err := prepareReplay(ctx, spec)
		if err != nil {
			return nil, err
		}
		r.cfg.Workers = min(loops, runtime.GOMAXPROCS(0))
		return func(ctx context.Context) (replayer.Config, traffic.Source, error) {
			src, err := r.plan.open(ctx, &r.cfg, r.recording)
			return r.cfg, src, err
		}, nil
	}
}
