package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

// A capturing is `record --iface`: what passes an interface, without a proxy in its way.
type capturing struct {
	ifaces       []string
	ports        []string
	source       string
	ring         conf.Bytes
	workers      int
	hardwareTime bool

	services []capture.Service // of ports
	share    float64           // of connections, and which ones: for sources that sample
	seed     uint64
}

func (c *capturing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&c.ifaces, "iface", nil, "capture from this interface instead of running the proxy; several, or any")
	f.StringSliceVar(&c.ports, "port", nil, "with --iface: whose connections, as [HOST:]PORT[=NAME]; may be given several times")
	f.StringVar(&c.source, "source", sourceAuto, "with --iface: "+strings.Join(sourceNames(), ", "))
	c.ring = 64 << 20
	f.TextVar(&c.ring, "ring", c.ring, "with --iface: memory for packets that wait to be read")
	f.IntVar(&c.workers, "workers", 1, "with --iface: goroutines that read packets, each its own connections")
	f.BoolVar(&c.hardwareTime, "hardware-time", false, "with --iface: times from the network card, for ports that only receive (docs/recording.md)")
}

// Flags that are about the proxy, or about the capture.
var (
	proxyOnly   = []string{"config", "tap", "takeover", "engine", "loops", "sockmap", "sockmap-cgroup"}
	captureOnly = []string{"port", "source", "ring", "workers", "hardware-time"}
)

func (c *capturing) check(cmd *cobra.Command) error {
	changed := func(name string) bool { return cmd.Flags().Changed(name) }
	if len(c.ifaces) == 0 {
		if i := slices.IndexFunc(captureOnly, changed); i >= 0 {
			return usageError("--%s: only with --iface", captureOnly[i])
		}
		return nil
	}
	if i := slices.IndexFunc(proxyOnly, changed); i >= 0 {
		return usageError("--iface and --%s: record an interface or run the proxy, not both", proxyOnly[i])
	}
	if len(c.ports) == 0 {
		return usageError("--iface: wants --port, the port of the service to record, such as --port 8080")
	}
	for _, text := range c.ports {
		s, err := parseService(text)
		if err != nil {
			return usageError("--port %s: %w", text, err)
		}
		if slices.ContainsFunc(c.services, func(o capture.Service) bool { return o.Port == s.Port && o.Addr == s.Addr }) {
			return usageError("--port %s: given twice", text)
		}
		c.services = append(c.services, s)
	}
	if !slices.Contains(sourceNames(), c.source) {
		return usageError("--source %s: want %s%s", c.source, strings.Join(sourceNames(), " or "), conf.DidYouMean(c.source, sourceNames()))
	}
	if err := c.live().Check(); err != nil {
		return usageError("--iface: %w", err)
	}
	return nil
}

// parseService reads [HOST:]PORT[=NAME]. Without a name a service is called as the rest is written.
func parseService(text string) (s capture.Service, err error) {
	where, name, named := strings.Cut(text, "=")
	if s.Name = name; !named {
		s.Name = where
	}
	port := where
	if i := strings.LastIndexByte(where, ':'); i >= 0 {
		host := strings.TrimSuffix(strings.TrimPrefix(where[:i], "["), "]")
		if s.Addr, err = netip.ParseAddr(host); err != nil {
			return s, fmt.Errorf("%q is no IP address", host)
		}
		port = where[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0:
		return s, fmt.Errorf("%q is no port (want 1 to 65535)", port)
	case s.Name == "":
		return s, errors.New("empty name")
	}
	s.Port = uint16(n)
	return s, nil
}

// A captureWorker turns the packets of its connections into exchanges, and shows its books now and then.
type captureWorker struct {
	*capture.Assembler
	stats atomic.Pointer[capture.Stats]
}

func (w *captureWorker) Tick(now int64) {
	w.Assembler.Tick(now)
	w.show()
}

func (w *captureWorker) show() {
	s := w.Stats()
	w.stats.Store(&s)
}

// recordCapture records what passes the interfaces. The capture ends first and is read empty, so that every
// packet it took comes to its end on the tape or in the ledger.
func recordCapture(cmd *cobra.Command, c *capturing, cfg store.Config, length time.Duration) error {
	out, logs := cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.share, c.seed = cfg.Recorder.Share, cfg.Recorder.Seed
	src, err := openSource(c, logs)
	if err != nil {
		return err
	}
	if src.samples {
		cfg.Recorder.Share = 1
	}
	rec, err := store.New(cfg)
	if err != nil {
		src.Close()
		return runError("record: %w", err)
	}
	workers := make([]*captureWorker, c.workers)
	to := make([]capture.Frames, c.workers)
	for i := range workers {
		a, err := capture.New(capture.Config{Services: c.services, Tap: rec.Tap(), Seed: cfg.Recorder.Seed})
		if err != nil {
			src.Close()
			return runError("%w", errors.Join(err, rec.Close()))
		}
		workers[i] = &captureWorker{Assembler: a}
		to[i] = workers[i]
	}
	ctx := cmd.Context()
	if length > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, length)
		defer stop()
	}
	stopRecording := startRecording(ctx, cmd, rec, src, "the capture goes on")
	fmt.Fprintf(logs, "redlane: record: capturing from %s (%s)\n", strings.Join(c.ifaces, ", "), src.name)

	err = src.Run(ctx, to...)
	for _, w := range workers {
		w.End()
		w.show()
	}
	recErr := stopRecording()
	ledgerErr := errors.Join(printCapture(out, src, workers, rec), printLedgers(out, rec))
	switch {
	case ledgerErr != nil:
		return ledgerErr
	case err != nil:
		return runError("record: %w", err)
	case recErr != nil:
		return runError("%w", recErr)
	}
	return nil
}

// printCapture prints what became of the packets and of the bytes in them. An exchange made from them that
// the recorder does not know of is a difference too.
func printCapture(w io.Writer, src packetSource, workers []*captureWorker, rec *store.Recording) error {
	var sum capture.Stats
	for _, w := range workers {
		sum.Add(w.stats.Load())
	}
	fmt.Fprintf(w, "connections: %d, joined %d, given up for memory %d; duplicate segments %d, out of order %d, truncated %d; gaps %d of %d bytes\n",
		sum.Streams, sum.Joined, sum.Evicted, sum.Duplicates, sum.Reordered, sum.Truncated, sum.Gaps, sum.GapBytes)
	segments := traffic.Ledger{Stage: "segments", Accepted: sum.Frames, Passed: sum.Segments, Filtered: sum.Other}
	segments.Drop("fragment", sum.Fragments)
	segments.Drop("broken", sum.Broken)
	books := append(src.Ledgers(), segments, sum.Bytes)
	for _, l := range books {
		fmt.Fprintln(w, &l)
		if err := l.Balance(); err != nil {
			return &exitError{exitInvalid, err}
		}
	}
	if read := books[0].Passed; read != sum.Frames {
		return &exitError{exitInvalid, fmt.Errorf("segments ledger: accepted %d, %d packets were read", sum.Frames, read)}
	}
	if made, accepted := sum.Exchanges.Accepted, rec.Ledgers()[0].Accepted; made != accepted {
		return &exitError{exitInvalid, fmt.Errorf("record ledger: accepted %d, %d were made from packets", accepted, made)}
	}
	return nil
}
