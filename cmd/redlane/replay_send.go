package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// A sender is how a replay sends: by which engine, how much at once, and over which TLS.
type sender struct {
	cacert, serverName string
	insecure           bool
	dryRun             bool
}

func (s *sender) flags(f *pflag.FlagSet, cfg *replayer.Config) {
	f.StringVar(&cfg.Engine, "engine", choose.Auto, choose.Auto+", "+strings.Join(choose.Names, ", ")+"; auto is io_uring where it can be used, else epoll")
	f.BoolVar(&cfg.Closed, "closed", false, "closed loop, in place of --rate: every session sends its next request when it has the answer")
	f.IntVar(&cfg.InFlight, "in-flight", 0, "sessions that wait for an answer at the same time; 0 is 64 with --closed, else any number")
	f.TextVar(&cfg.Overload, "overload", cfg.Overload, "what cannot be sent when it is due: queue; drop or drop=200ms, when it would be later than that; spawn=100, on so many more connections")
	f.IntVar(&cfg.Pipeline, "pipeline", 1, "requests of a session on their way at once, where the recording did not wait for answers either")
	f.BoolVar(&s.dryRun, "dry-run", false, "read the recording and make every request, and say what would be sent; nothing is")
	f.StringVar(&s.cacert, "cacert", "", "file of certificates that an https target is to be signed by, in place of the system's")
	f.StringVar(&s.serverName, "servername", "", "name that an https target has to prove, in place of the one in --to")
	f.BoolVar(&s.insecure, "insecure", false, "take any certificate of an https target")
}

// apply checks the flags and fills in what is read from files.
func (s *sender) apply(cfg *replayer.Config) error {
	if err := choose.Check(cfg.Engine); err != nil {
		return usageError("--engine: %w", err)
	}
	if s.cacert == "" && s.serverName == "" && !s.insecure {
		return nil
	}
	if !strings.HasPrefix(cfg.To, "https://") {
		return usageError("--cacert, --servername and --insecure are for a target in TLS; write --to https://%s", strings.TrimPrefix(cfg.To, "http://"))
	}
	cfg.TLS = &tls.Config{ServerName: s.serverName, InsecureSkipVerify: s.insecure}
	if s.cacert == "" {
		return nil
	}
	pem, err := os.ReadFile(s.cacert)
	if err != nil {
		return usageError("--cacert: %w", err)
	}
	cfg.TLS.RootCAs = x509.NewCertPool()
	if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return usageError("--cacert: %w", fmt.Errorf("no certificate in %s; want PEM", s.cacert))
	}
	return nil
}

// rehearse is --dry-run.
func rehearse(cmd *cobra.Command, cfg replayer.Config, src traffic.Source) error {
	r, err := replayer.Rehearse(cmd.Context(), cfg, src)
	if replayer.ErrNoLane(err) {
		return usageError("%w; name one with --lane", err)
	}
	if r == nil {
		return notStarted(err)
	}
	if err != nil {
		return runError("%w", err)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintln(w, &r.Ledger)
	fmt.Fprintf(w, "would send %d requests of %d sessions in %s to %s\n", r.Ledger.Passed, r.Sessions, round(r.Length), cfg.To)
	if r.Disorder > 0 {
		fmt.Fprintf(w, "%d requests are too far out of order to be sent at their time\n", r.Disorder)
	}
	return nil
}

// notStarted words why a replay has no result.
func notStarted(err error) error {
	if wrong := new(replayer.ConfigError); errors.As(err, &wrong) {
		return usageError("%w", err)
	}
	return runError("%w", err)
}

// nothingWorked is the end of a replay of which not one request had a good answer.
func nothingWorked(r *replayer.Result) error {
	e := &r.Total.Errors
	return runError("replay to %q: every request failed: connect %d, reset %d, timeout %d, protocol %d, 5xx %d", r.To, e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx)
}
