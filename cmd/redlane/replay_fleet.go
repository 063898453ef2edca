package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer/fleet"
)

// A fleetFlags is a replay that many workers share.
type fleetFlags struct {
	bus       busFlags
	listen    string
	workers   int
	spawn     bool
	labels    map[string]string
	shards    int
	wait      time.Duration
	lostLimit float64
	skewLimit time.Duration
}

func (fl *fleetFlags) register(f *pflag.FlagSet) {
	own := pflag.NewFlagSet("fleet", pflag.ContinueOnError)
	own.IntVar(&fl.workers, "workers", 0, "share the replay among this many workers (redlane worker)")
	own.BoolVar(&fl.spawn, "spawn", false, "start the workers, on this machine")
	own.StringVar(&fl.listen, "bus-listen", "127.0.0.1:4222", "where the bus of this run listens, when there is no --bus")
	own.StringToStringVar(&fl.labels, "worker-label", nil, "only workers with this label, KEY=VALUE")
	own.IntVar(&fl.shards, "shards", 0, "parts that sessions are dealt out in; 0 is 16 for each worker")
	own.DurationVar(&fl.wait, "worker-wait", time.Minute, "for enough workers")
	own.Float64Var(&fl.lostLimit, "lost-limit", 0.01, "share of requests lost with dead workers above which the run is invalid")
	own.DurationVar(&fl.skewLimit, "skew-limit", 10*time.Millisecond, "p99 of the workers' clocks above which the run is invalid")
	fl.bus.register(own)
	own.VisitAll(func(g *pflag.Flag) { controllerOnly(own, g.Name) })
	f.AddFlagSet(own)
}

const onlyHere = "redlane_controller_only"

// controllerOnly keeps flags from the workers of a fleet: what they say is done once, where the run is led.
func controllerOnly(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		_ = f.SetAnnotation(name, onlyHere, nil) // the flag exists
	}
}

// spec is the command line that a worker gets: everything but what is the controller's business.
func spec(cmd *cobra.Command, r *replay) ([]byte, error) {
	line := []string{r.recording}
	if !cmd.Flags().Changed("run-id") { // all requests carry the same
		line = append(line, "--run-id="+r.cfg.RunID)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, here := f.Annotations[onlyHere]; here {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				line = append(line, "--"+f.Name+"="+v)
			}
			return
		}
		line = append(line, "--"+f.Name+"="+f.Value.String())
	})
	return msgpack.Marshal(line)
}

// runFleet replays with workers.
func (r *replay) runFleet(cmd *cobra.Command) error {
	fl := &r.fleet
	switch err := r.cfg.Check(); {
	case err != nil:
		return refusedConfig(err)
	case r.cfg.Closed:
		return usageError("--closed has no schedule that workers could share; leave --workers out")
	case r.out.stream.File != "":
		return usageError("--stream is written by one process; leave it out, or --workers")
	}
	line, err := spec(cmd, r)
	if err != nil {
		return runError("%w", err)
	}
	stderr := cmd.ErrOrStderr()
	log := func(line string) { fmt.Fprintln(stderr, "fleet: "+line) }
	url, stop, err := fl.getBus(log)
	if err != nil {
		return err
	}
	defer stop()
	b, err := fl.bus.connect(url, "redlane controller", log)
	if err != nil {
		return runError("%w", err)
	}
	defer b.Close()
	if fl.spawn {
		stop, err := spawnWorkers(fl, url, r.cfg.Workers, stderr)
		if err != nil {
			return err
		}
		defer stop()
	} else {
		log("waiting for workers: redlane worker --bus " + url)
	}
	r.out.rate = r.plan.rate.String()
	if err := r.out.begin(cmd, &r.cfg); err != nil {
		return err
	}
	report, err := fleet.Control(cmd.Context(), fleet.Config{
		Bus: b, Run: randomName(4), Spec: line, Workers: fl.workers, Labels: fl.labels, Shards: fl.shards, Wait: fl.wait,
		LostLimit: fl.lostLimit, SkewLimit: fl.skewLimit, Log: log, Progress: r.cfg.Progress,
	})
	if r.out.fleet = report; report == nil {
		return r.out.end(cmd, &r.cfg, nil, runError("%w", err))
	}
	return r.out.end(cmd, &r.cfg, report.Result, err)
}

// getBus is the URL of the bus that is given, or of one that is started.
func (fl *fleetFlags) getBus(log func(string)) (url string, stop func(), err error) {
	if fl.bus.url != "" {
		return fl.bus.url, func() {}, nil
	}
	auth, err := fl.bus.credentials()
	if err != nil {
		return "", nil, err
	}
	if fl.spawn && auth == (bus.Auth{}) && fl.bus.tls == (bus.TLS{}) { // nobody else has business there
		auth.Token = randomName(16)
		fl.bus.auth = auth
	}
	s, err := bus.Serve(bus.ServerConfig{Listen: fl.listen, Auth: auth, TLS: fl.bus.tls})
	if err != nil {
		return "", nil, runError("%w", err)
	}
	log("bus at " + s.URL())
	return s.URL(), s.Close, nil
}

// randomName is n bytes of chance in hex.
func randomName(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func printFleet(w io.Writer, r *fleet.Report) {
	fmt.Fprintf(w, "fleet: %d workers, clocks agree to %v (p99); sent %d", len(r.Workers), round(r.Skew), r.Sent)
	if r.Unknown > 0 {
		fmt.Fprintf(w, " for certain, and at most %d more by workers that were lost", r.Unknown)
	}
	fmt.Fprintln(w)
	for _, t := range r.Takeovers {
		switch {
		case t.Took > 0:
			fmt.Fprintf(w, "worker %s lost: %d shards gone on with after %v, %d exchanges lost\n", t.Worker, t.Shards, t.Took.Round(time.Millisecond), t.Lost)
		default:
			fmt.Fprintf(w, "worker %s lost: %d shards, nobody went on, %d exchanges lost\n", t.Worker, t.Shards, t.Lost)
		}
	}
	slow := 0
	for _, i := range r.Workers {
		if i.Skew.Abs() > time.Millisecond {
			if slow++; slow <= 5 {
				fmt.Fprintf(w, "worker %s: its clock is off by %v since the start\n", i.Name, round(i.Skew))
			}
		}
	}
}

// prepareReplay reads the command line of a run with the flags of the verb.
func prepareReplay(ctx context.Context, data []byte) (r *replay, err error) {
	var line []string
	if err := msgpack.Unmarshal(data, &line); err != nil {
		return nil, fmt.Errorf("read what to replay: %w", err)
	}
	cmd := replayCmdWith(func(read *replay, _ *cobra.Command) error {
		r = read
		return nil
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(line)
	if err := cmd.ExecuteContext(ctx); err != nil {
		return nil, fmt.Errorf("read what to replay (%s): %w", strings.Join(line, " "), err)
	}
	return r, nil
}
