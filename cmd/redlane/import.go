package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

func importCmd() *cobra.Command {
	var from format.Config
	var service, keyLog string
	var ports []string
	var sample conf.Share
	limit := conf.Bytes(16 << 20)
	var redact redactFlags
	cfg := store.Config{}
	cmd := &cobra.Command{
		Use:   "import FILE... --to WHERE",
		Short: "Make a recording of files: captures, GoReplay, HAR, access logs, targets, JSON lines",
		Long: `Reads files of exchanges, or standard input (-), into a tape or ClickHouse. The format is found by the file's name
or its first bytes; .gz and .zst are unpacked. What a file does not say is left empty. What cannot be read as
an exchange is counted and told with its place, and the ledger of the end has it.

` + formatList(func(f *codec.Format) bool { return f.Open != nil }) + `
Redaction is that of record: Authorization, Proxy-Authorization, Cookie and Set-Cookie never reach the disk.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := store.Check(cfg.To); err != nil {
				return usageError("--to: %w", err)
			}
			cfg.Recorder.Share, cfg.Recorder.Wait, cfg.Recorder.BodyLimit = float64(sample), true, int64(limit)
			cfg.Recorder.BodyMemory = max(512<<20, 8*int64(limit)) // a capture has the bodies of all its connections under way
			cfg.Logf = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			var err error
			if cfg.Recorder.Redact, err = redact.rules(); err != nil {
				return err
			}
			if from.Ports, err = servicePorts(ports); err != nil {
				return err
			}
			if from.Keys, err = readKeyLog(keyLog); err != nil {
				return err
			}
			src, err := from.OpenFiles(args, cmd.InOrStdin())
			if err != nil {
				return usageError("import: %w", err)
			}
			defer src.Close()
			return runImport(cmd, cfg, src, service)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.To, "to", "", "tape://DIR, or clickhouse://HOST:PORT/DATABASE?recording=NAME")
	f.StringVar(&cfg.Spool, "spool", filepath.Join("out", "spool"), "folder of the tape that feeds ClickHouse")
	f.StringVar(&from.Format, "format", "", "format of the files; found by name and content when not given")
	f.StringVar(&from.LogFormat, "log-format", "", "log_format of access logs, as nginx has it")
	f.StringVar(&service, "service", "", "service that was called, where the files do not say it, or only its address")
	f.StringSliceVar(&ports, "port", nil, "service of a capture and its TCP port, such as 80=web; may be given several times; all connections when none is given")
	f.StringVar(&keyLog, "keylog", "", "TLS secrets for captures, as SSLKEYLOGFILE has them; those inside a pcapng are used without it")
	f.TextVar(&sample, "sample", conf.Share(1), "share of sessions to keep, such as 10%")
	f.StringSliceVar(&cfg.Recorder.Only.Paths, "path", nil, "keep only requests whose target begins like this; may be given several times")
	f.TextVar(&limit, "body-limit", limit, "longest body kept; longer ones are cut and flagged")
	redact.flags(cmd)
	_ = cmd.MarkFlagRequired("to") // the flag exists
	return cmd
}

// servicePorts reads 80=web.
func servicePorts(flags []string) (map[uint16]string, error) {
	ports := make(map[uint16]string)
	for _, text := range flags {
		port, name, _ := strings.Cut(text, "=")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || name == "" {
			return nil, usageError("--port %s: want a port and the name of its service, such as 80=web", text)
		}
		ports[uint16(n)] = name
	}
	return ports, nil
}

// formatList is the part of a help text that names the formats.
func formatList(with func(*codec.Format) bool) string {
	var b strings.Builder
	for _, f := range format.All() {
		if with(f) {
			fmt.Fprintf(&b, "  %-13s %s\n", f.Name, f.About)
		}
	}
	return b.String()
}

// runImport brings everything src has to the recording, and closes the books.
func runImport(cmd *cobra.Command, cfg store.Config, src traffic.Source, service string) error {
	rec, err := store.New(cfg)
	if err != nil {
		return runError("import: %w", err)
	}
	recording, stop := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- rec.Run(recording) }()
	live, stopLive := context.WithCancel(cmd.Context())
	defer stopLive()
	go liveLine(live, cmd.ErrOrStderr(), rec, nil)

	_, err = recorder.Import(cmd.Context(), src, &telling{Tap: rec.Tap(), w: cmd.ErrOrStderr(), service: service})
	stopLive()
	stop()
	recErr := <-done
	ledgerErr := printLedgers(cmd.OutOrStdout(), rec)
	printNotes(cmd.OutOrStdout(), src)
	switch first := rec.Ledgers()[0]; {
	case ledgerErr != nil:
		return ledgerErr
	case recErr != nil:
		return runError("%w", recErr)
	case errors.Is(err, context.Canceled):
		return &exitError{exitStopped, errors.New("import: interrupted; what was read is kept")}
	case err != nil:
		return runError("import: %w; what stood before it is kept", err)
	case first.Accepted > 0 && first.Lost() == first.Accepted:
		return runError("import: nothing could be kept")
	}
	return nil
}

// A telling tap says what is lost, the first few times, and names the service where the file does not.
type telling struct {
	recorder.Tap
	w       io.Writer
	service string
	told    int
}

// tellAtMost is how many lost exchanges are told one by one: the ledger counts all.
const tellAtMost = 5

func (t *telling) Request(x *traffic.Exchange) traffic.Action {
	if t.service != "" && (x.Dst == "" || x.Dst == x.DstAddr.String()) { // captures know the address
		x.Dst = t.service
	}
	return t.Tap.Request(x)
}

func (t *telling) Tell(lost *recorder.Lost) {
	if t.told++; t.told <= tellAtMost {
		fmt.Fprintf(t.w, "%v (%s)\n", lost, lost.Why)
	} else if t.told == tellAtMost+1 {
		fmt.Fprintln(t.w, "more of these are counted and not told")
	}
}

func printNotes(w io.Writer, src traffic.Source) {
	if n, ok := src.(codec.Noter); ok && len(n.Notes()) > 0 {
		fmt.Fprintf(w, "not as it was on the wire: %v\n", n.Notes())
	}
}
