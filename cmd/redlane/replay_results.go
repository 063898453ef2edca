package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/fleet"
	"github.com/redlane/redlane/replayer/results"
	"github.com/redlane/redlane/traffic"
)

// replayOutput is what a replay shows and leaves behind.
//
//	begin ─► files are open, the screen is drawn ─► replayer.Run ─► end: report, files, exit code
//	           └─ nothing was sent when begin fails
type replayOutput struct {
	src   traffic.Source // what is replayed
	rate  string         // as asked for
	fleet *fleet.Report  // of several workers; nil when it was one

	results []string // file or clickhouse://
	stream  results.Config
	latency string // of stream: due or send
	quiet   bool
	gates   gates

	files   []*os.File
	stores  []*results.Store
	writer  *results.Writer
	live    *watch
	report  io.Writer
	err     io.Writer
	signals chan os.Signal
}

func (o *replayOutput) flags(cmd *cobra.Command, cfg *replayer.Config) {
	f := cmd.Flags()
	f.StringSliceVar(&o.results, "results", nil, "where the whole result goes: a file for JSON, or clickhouse://HOST:9000/DB; may be given twice")
	f.StringVar(&o.stream.File, "stream", "", "where every single request goes: a file, .bin .csv .json for vegeta or .parquet, - or clickhouse://HOST:9000/DB")
	f.StringVar(&o.stream.Format, "stream-format", "", "gob, csv, ndjson or parquet; default: as the suffix says")
	f.StringVar(&o.latency, "stream-latency", "due", "what latency means in the stream: from due, or from send as vegeta's own")
	f.BoolVar(&o.stream.Wait, "stream-wait", false, "requests wait, and lag, when the stream's file is too slow; without it what finds no room is dropped and counted")
	f.StringSliceVar(&cfg.Routes, "route", nil, "pattern such as /packets/{id} to count by; the others are learned")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
	o.gates.flags(f)
}

// begin opens everything that may be wrong before the first request is sent.
func (o *replayOutput) begin(cmd *cobra.Command, cfg *replayer.Config) (err error) {
	o.report, o.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	if o.latency != "due" && o.latency != "send" {
		return usageError("--stream-latency %q: want due or send%s", o.latency, conf.DidYouMean(o.latency, []string{"due", "send"}))
	}
	for _, to := range o.results {
		if strings.HasPrefix(to, "clickhouse:") {
			store, err := openResultStore(cmd.Context(), to, cfg.RunID)
			if err != nil {
				return err
			}
			o.stores = append(o.stores, store)
			continue
		}
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o644) // what an earlier run left is kept until this one has ended
		if err != nil {
			return usageError("write results: %w", err)
		}
		o.files = append(o.files, f)
	}
	if strings.HasPrefix(o.stream.File, "clickhouse:") {
		if o.stream.Store, err = openResultStore(cmd.Context(), o.stream.File, cfg.RunID); err != nil {
			return err
		}
	}
	if o.stream.File != "" {
		o.stream.Out, o.stream.Target, o.stream.FromSend = o.report, cfg.To, o.latency == "send"
		if o.writer, err = results.Open(o.stream); err != nil {
			return usageError("%w", err)
		}
		cfg.Stream = o.writer
		if o.stream.File == "-" {
			o.report = o.err               // two things on one pipe are none
			signal.Ignore(syscall.SIGPIPE) // a reader that leaves is an error of the stream, and the report is still due
		}
	}
	if !o.quiet {
		o.live = newLive(o.err, cfg, o.rate)
		cfg.Progress = o.live.progress
	}
	cfg.Hurry = o.listen()
	return nil
}

// listen makes the second Ctrl-C end the wait for answers, and the third everything. The first ends the verb's
// context, see execute.
func (o *replayOutput) listen() (hurry chan struct{}) {
	hurry, o.signals = make(chan struct{}), make(chan os.Signal, 8)
	signal.Notify(o.signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		n := 0
		for range o.signals {
			switch n++; n {
			case 1:
				o.live.say("stopping: waiting for answers to what was sent; once more ends at once")
			case 2:
				close(hurry)
			default:
				o.live.close()
				os.Exit(exitStopped)
			}
		}
	}()
	return hurry
}

func (o *replayOutput) close() {
	o.live.close()
	if o.signals != nil {
		signal.Stop(o.signals)
		close(o.signals)
	}
	for _, f := range o.files {
		f.Close()
	}
	for _, s := range append(o.stores, o.stream.Store) {
		if s != nil {
			s.Close()
		}
	}
}

// end prints the report, completes the files and finds the exit code. r is nil when nothing was sent.
func (o *replayOutput) end(cmd *cobra.Command, cfg *replayer.Config, r *replayer.Result, runErr error) error {
	o.live.close()
	defer o.close()
	var kept error // what went wrong with a file
	var stream traffic.Ledger
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context())) // what was found is stored also after Ctrl-C
	defer cancel()
	go func() {
		select {
		case <-cfg.Hurry:
			cancel()
		case <-ctx.Done():
		}
	}()
	if o.writer != nil {
		defer context.AfterFunc(ctx, o.writer.GiveUp)()
		stream, kept = o.writer.Close()
		if lost := stream.Lost(); kept == nil && lost > 0 {
			kept = fmt.Errorf("stream %s: %d of %d requests were dropped, because it was slower than the run; --stream-wait makes requests wait instead", o.stream.File, lost, stream.Accepted)
		}
	}
	if r == nil {
		return runErr
	}
	for _, f := range o.files {
		if o.fleet != nil {
			kept = cmp.Or(kept, writeResult(f, o.fleet))
		} else {
			kept = cmp.Or(kept, writeResult(f, r))
		}
	}
	for _, s := range o.stores {
		kept = cmp.Or(kept, s.Put(ctx, r))
	}
	printReplay(o.report, r)
	printSelection(o.report, o.src)
	if o.writer != nil {
		fmt.Fprintln(o.report, &stream)
	}
	invalid := r.Valid()
	if o.fleet != nil {
		printFleet(o.report, o.fleet)
		invalid = o.fleet.Valid()
	}
	failed := o.gates.judge(o.report, r)
	if invalid == nil {
		fmt.Fprintln(o.report, "VALID")
	} else {
		fmt.Fprintln(o.report, "INVALID:", strings.TrimPrefix(invalid.Error(), "invalid run: "))
	}
	switch {
	case runErr != nil:
		return runError("%w", runErr)
	case o.fleet != nil && len(o.fleet.Invalid) > 0:
		return &exitError{exitInvalid, invalid}
	case r.Stopped != "":
		return stopped(r)
	case r.Interrupted:
		return &exitError{exitStopped, errors.New("replay: interrupted")}
	case invalid != nil:
		return &exitError{exitInvalid, invalid}
	case failed != nil:
		return &exitError{exitFailed, failed}
	case r.Total.Count > 0 && r.Total.Errors.Sum() == r.Total.Count:
		return nothingWorked(r)
	case kept != nil:
		return &exitError{exitFailed, kept}
	}
	return nil
}

func writeResult(f *os.File, r any) error {
	err := f.Truncate(0)
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a pipe or a device has no length
	}
	if err == nil {
		err = encodeJSON(f, r)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
