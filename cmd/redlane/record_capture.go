package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder"
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
	keyLog       string

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
	f.StringVar(&c.keyLog, "keylog", "", "with --iface: TLS secrets, as SSLKEYLOGFILE has them; the file is read on while it grows")
	f.BoolVar(&c.hardwareTime, "hardware-time", false, "with --iface: times from the network card, for ports that only receive (docs/recording.md)")
}

// Flags that are about the proxy, or about the capture.
var (
	proxyOnly   = []string{"config", "tap", "takeover", "engine", "loops", "sockmap", "sockmap-cgroup"}
	captureOnly = []string{"port", "source", "ring", "workers", "hardware-time", "keylog"}
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
	if c.keyLog != "" {
		keys, err := followKeyLog(c.keyLog)
		if err != nil {
			return err
		}
		keys.close()
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
	held  *capture.Held // packets that wait for their secrets; nil without a key log
	keys  *keyFollower
}

// Packets wait this long for their secrets, and no more of them than this: clients write a secret milliseconds
// after they have it.
const (
	keyWait  = 300 * time.Millisecond
	keyLimit = 64 << 20
)

// newCaptureWorker makes one, and what the capture is to give its packets to.
func (c *capturing) newCaptureWorker(tap recorder.Tap, logs io.Writer) (w *captureWorker, to capture.Frames, err error) {
	cfg := capture.Config{Services: c.services, Tap: tap, Seed: c.seed}
	w = new(captureWorker)
	if c.keyLog != "" {
		if w.keys, err = followKeyLog(c.keyLog); err != nil { // each worker has keys of its own: they share no memory
			return nil, nil, err
		}
		cfg.Keys = w.keys.keys
	}
	if w.Assembler, err = capture.New(cfg); err != nil {
		return nil, nil, runError("%w", err)
	}
	if w.keys == nil {
		return w, w, nil
	}
	w.held = &capture.Held{To: w, Before: w.keys.look(logs), Wait: int64(keyWait), Limit: keyLimit}
	return w, w.held, nil
}

// End ends what is under way, after what is held.
func (w *captureWorker) End() {
	if w.held != nil {
		w.held.End()
		w.keys.close()
	}
	w.Assembler.End()
	w.show()
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
		if workers[i], to[i], err = c.newCaptureWorker(rec.Tap(), logs); err != nil {
			src.Close()
			return errors.Join(err, rec.Close())
		}
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

// reasons lists why connections are closed to us, 0 when none is.
func reasons(sealed map[string]uint64) string {
	if len(sealed) == 0 {
		return "0"
	}
	var b strings.Builder
	for i, why := range slices.Sorted(maps.Keys(sealed)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d (%s)", sealed[why], why)
	}
	return b.String()
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
	if sum.Decrypted > 0 || len(sum.Sealed) > 0 {
		fmt.Fprintf(w, "TLS: %d connections decrypted, not read %s\n", sum.Decrypted, reasons(sum.Sealed))
	}
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
