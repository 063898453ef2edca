package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

// startRecording runs rec, with a live line, until the function it returns is called. A full disk is said at
// once and stops nothing.
func startRecording(ctx context.Context, cmd *cobra.Command, rec *store.Recording, src packets, goesOn string) (stop func() error) {
	logs := cmd.ErrOrStderr()
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- rec.Run(recording) }()
	live, stopLive := context.WithCancel(ctx)
	go liveLine(live, logs, rec, src)
	go func() {
		select {
		case <-rec.Failed():
			fmt.Fprintf(logs, "redlane: record: %v; %s, what comes now is counted as dropped\n", rec.Err(), goesOn)
		case <-live.Done():
		}
	}()
	return func() error {
		stopLive()
		stopRecording()
		return <-done
	}
}

const (
	lookEvery = 250 * time.Millisecond // how precisely lags are known
	lineEvery = 5 * time.Second
)

// liveLine prints the books every five seconds, and how far behind everything is. src is nil for a proxy.
func liveLine(ctx context.Context, w io.Writer, rec *store.Recording, src packets) {
	var lags []store.Lag
	var before uint64
	last := clock.System.Now()
	for now := last; clock.System.SleepUntil(ctx, now.Add(lookEvery)) == nil; {
		now = clock.System.Now()
		progress := rec.Progress()
		if lags == nil {
			lags = make([]store.Lag, len(progress))
		}
		var lag []string
		if src != nil {
			lag = append(lag, "ring "+src.Lag().Round(time.Millisecond).String())
		}
		for i, p := range progress {
			lag = append(lag, p.Sink+" "+lags[i].Look(now, p).Round(lookEvery).String())
		}
		if now.Sub(last) < lineEvery {
			continue
		}
		l := rec.Ledgers()[0]
		rate := float64(l.Accepted-before) / now.Sub(last).Seconds()
		before, last = l.Accepted, now
		fmt.Fprintln(w, recordLine(&l, rate, src, lag))
	}
}

func recordLine(l *traffic.Ledger, rate float64, src packets, lag []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "recorded %d of %d, %.0f/s, filtered %d, sampled out %d, dropped %s", l.Passed, l.Accepted, rate, l.Filtered, l.SampledOut, l.Drops())
	if src != nil {
		fmt.Fprintf(&b, "; packets dropped %s", src.Ledgers()[0].Drops())
	}
	fmt.Fprintf(&b, "; lag: %s", strings.Join(lag, ", "))
	return b.String()
}
