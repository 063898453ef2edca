package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/recorder/template"
)

func recordCmd() *cobra.Command {
	var config, spool string
	var taps []string
	var sample conf.Share
	var length time.Duration
	var take takeover
	var data dataPlane
	var keep room
	var packets capturing
	var redact redactFlags
	cfg := store.Config{}
	cmd := &cobra.Command{
		Use:   "record (-c MESH.YAML --tap SERVICE | --iface NAME --port PORT) --to WHERE",
		Short: "Run the proxy, or listen at an interface, and record what services take and answer",
		Long: `Runs the proxy of a mesh configuration and keeps every exchange of the services named by --tap, in a tape or in
ClickHouse. Traffic never waits for the recording: what finds no room is dropped and counted. A full disk and a
--quota are waited out: recording goes on by itself. Ends after --for or at SIGTERM, when everything accepted is
stored, and prints the ledger.

With --iface no proxy runs: redlane reads the packets of --port from network interfaces (docs/recording.md;
needs CAP_NET_RAW, or CAP_BPF and CAP_NET_ADMIN), and puts HTTP/1.1 together from them. What it cannot is
counted with the reason.

Authorization, Proxy-Authorization, Cookie and Set-Cookie are redacted before anything reaches the disk;
--redact-header, --redact-query and --redact-json add to them, and a rule file (docs/redaction.md) says more.

With --takeover a new process takes over from one that runs (docs/operations.md), into a tape of its own: the
one that runs holds its tape until its last exchange is over.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := data.check(); err != nil {
				return err
			}
			if err := packets.check(cmd); err != nil {
				return err
			}
			if err := store.Check(cfg.To); err != nil {
				return usageError("--to: %w", err)
			}
			if sample == 0 {
				return usageError("--sample 0%%: nothing would be recorded")
			}
			if _, err := template.New(template.Config{Patterns: cfg.Routes}); err != nil {
				return usageError("--route: %w", err)
			}
			if err := keep.set(&cfg); err != nil {
				return err
			}
			var err error
			if cfg.Recorder.Redact, err = redact.rules(); err != nil {
				return err
			}
			cfg.Spool, cfg.Recorder.Share = spool, float64(sample)
			cfg.Logf = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			if len(packets.ifaces) > 0 {
				return recordCapture(cmd, &packets, cfg, length)
			}
			m, err := loadMesh(config)
			if err != nil {
				return err
			}
			for _, tap := range taps {
				if m.Services[tap] == nil {
					return usageError("--tap %s: no such service in %s%s", tap, config, conf.DidYouMean(tap, serviceNames(m)))
				}
			}
			slices.Sort(taps)
			taps = slices.Compact(taps) // one service must not have two taps
			cfg.Services = taps
			if err := take.ask(cmd.Context()); err != nil {
				return err
			}
			defer take.close()
			return record(cmd, m, config, cfg, &data, &take, length)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&config, "config", "c", "mesh.yaml", "mesh configuration")
	f.StringSliceVar(&taps, "tap", nil, "service to record; may be given several times; all when none is given")
	f.StringVar(&cfg.To, "to", "", "tape://DIR, or clickhouse://HOST:PORT/DATABASE?recording=NAME")
	f.StringVar(&spool, "spool", filepath.Join("out", "spool"), "folder of the tape that feeds ClickHouse")
	f.StringSliceVar(&cfg.Routes, "route", nil, "pattern such as /packets/{id} to group by in ClickHouse; the others are learned")
	f.DurationVar(&length, "for", 0, "how long; 0 is until SIGTERM")
	f.TextVar(&sample, "sample", conf.Share(1), "share of sessions to keep, such as 10%")
	f.StringSliceVar(&cfg.Recorder.Only.Colors, "color", nil, "keep only requests that travel under this colour; may be given several times")
	redact.flags(cmd)
	keep.flags(cmd)
	take.flag(cmd)
	data.flags(cmd)
	packets.flags(cmd)
	_ = cmd.MarkFlagRequired("to") // the flag exists
	return cmd
}

// record runs the recording and the proxy. The proxy ends first and drains, so that every exchange it
// accepted comes to its end on the tape.
func record(cmd *cobra.Command, m *mesh.Config, path string, cfg store.Config, data *dataPlane, take *takeover, length time.Duration) error {
	rec, err := store.New(cfg)
	if errors.Is(err, tape.ErrInUse) && take.taking != nil {
		return runError("record: %w; a recording that takes over needs a tape of its own: another --to, or --spool", err)
	}
	if err != nil {
		return runError("record: %w", err)
	}
	var slots []proxy.Slot
	taps := cfg.Services
	if len(taps) == 0 {
		taps = []string{""} // every service
	}
	for _, tap := range taps {
		slots = append(slots, proxy.Slot{Name: "record " + tap, Level: proxy.Tap, Service: tap, Filter: rec.Filter()})
	}
	p, stop, err := newProxy(m, path, data, take, cmd.ErrOrStderr(), slots...)
	if err != nil {
		return runError("%w", errors.Join(err, rec.Close()))
	}
	ctx := cmd.Context()
	if length > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, length)
		defer stop()
	}
	stopRecording := startRecording(ctx, cmd, rec, nil, "the proxy goes on")

	err = errors.Join(runProxy(ctx, p, m, take, cmd.OutOrStdout(), cmd.ErrOrStderr()), stop())
	recErr := stopRecording()
	ledgerErr := printLedgers(cmd.OutOrStdout(), rec)
	switch {
	case err != nil:
		return err
	case ledgerErr != nil:
		return ledgerErr
	case recErr != nil:
		return runError("%w", recErr)
	}
	return nil
}

func printLedgers(w io.Writer, rec *store.Recording) error {
	for _, l := range rec.Ledgers() {
		fmt.Fprintln(w, &l)
		if err := l.Balance(); err != nil {
			return &exitError{exitInvalid, err}
		}
	}
	return nil
}

func serviceNames(m *mesh.Config) (names []string) {
	for name := range m.Services {
		names = append(names, name)
	}
	return names
}
