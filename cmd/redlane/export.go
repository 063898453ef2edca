package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

func exportCmd() *cobra.Command {
	var to format.Config
	var only selection
	cmd := &cobra.Command{
		Use:   "export RECORDING FILE",
		Short: "Write a recording in the format of another program",
		Long: `Writes a recording (tape://DIR, DIR, or clickhouse://HOST:PORT/DB?recording=NAME) to a new file, or to standard
output (-). The file's name says the format, and .gz or .zst that it is packed. Prints a ledger: what the format
cannot hold is dropped with its reason, and what it holds only in part is listed.

` + formatList(func(f *codec.Format) bool { return f.Create != nil }),
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] == "-" && to.Format == "" {
				return usageError("export: --format is wanted with standard output")
			}
			if err := only.check(); err != nil {
				return err
			}
			if err := store.Check(args[0]); err != nil {
				return usageError("%w", err)
			}
			if f, err := to.Find(args[1]); err != nil {
				return usageError("export: %w", err)
			} else if f.Create == nil {
				return usageError("export: %s files can be read only", f.Name)
			}
			src, err := store.Open(cmd.Context(), args[0])
			if err != nil {
				return usageError("%w", err)
			}
			defer src.Close()
			return runExport(cmd, src, &only, to, args[1])
		},
	}
	f := cmd.Flags()
	f.StringVar(&to.Format, "format", "", "format of the file; its name says it when not given")
	f.StringVar(&to.Base, "base", "http://localhost", "scheme and host of absolute URLs, where a request has no Host")
	f.StringSliceVar(&only.services, "service", nil, "only exchanges of this service; may be given several times, as may the next two")
	f.StringSliceVar(&only.Lanes, "lane", nil, `only what this lane served; "baseline" for the baseline`)
	f.StringSliceVar(&only.Paths, "path", nil, "only requests whose target begins like this")
	f.StringVar(&only.since, "since", "", "only what started then or later, such as 2026-11-21T20:00:00Z")
	f.StringVar(&only.until, "until", "", "only what started before")
	return cmd
}

// A selection says which exchanges of a recording are meant.
type selection struct {
	recorder.Only
	services     []string
	since, until string
	from, to     int64 // Unix nanoseconds; to is 0 without an end
}

func (s *selection) check() (err error) {
	if s.from, err = timeFlag("since", s.since); err != nil {
		return err
	}
	s.to, err = timeFlag("until", s.until)
	return err
}

func timeFlag(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, usageError("--%s %q: want a time such as 2026-11-21T20:00:00Z", name, text)
	}
	return t.UnixNano(), nil
}

func (s *selection) keeps(x *traffic.Exchange) bool {
	return (len(s.services) == 0 || slices.Contains(s.services, x.Dst)) &&
		(s.since == "" || x.Start >= s.from) && (s.until == "" || x.Start < s.to) && s.Only.Keeps(x)
}

// runExport writes to a file that has its name only once it is whole.
func runExport(cmd *cobra.Command, src traffic.Source, only *selection, to format.Config, name string) (err error) {
	books := cmd.OutOrStdout()
	w := cmd.OutOrStdout()
	var file *os.File
	if name == "-" {
		books = cmd.ErrOrStderr()
	} else {
		if _, err := os.Stat(name); err == nil {
			return usageError("export: %s is there already: name another file, or remove it", name)
		}
		if file, err = os.OpenFile(name+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644); err != nil {
			return usageError("export: %w", err)
		}
		w = file
	}
	var ledger traffic.Ledger
	var notes codec.Notes
	sink, err := to.Create(name, w)
	if err == nil {
		ledger, err = export(cmd.Context(), src, sink, only)
		err = errors.Join(err, sink.Close())
		if n, ok := sink.(codec.Noter); ok {
			notes = n.Notes()
		}
	}
	if file != nil {
		err = errors.Join(err, file.Close())
		if err == nil {
			err = os.Rename(name+".part", name)
		} else {
			_ = os.Remove(name + ".part") // what matters is why there is no file
		}
	}
	fmt.Fprintln(books, &ledger)
	if len(notes) > 0 {
		fmt.Fprintf(books, "written, but not whole: %v\n", notes)
	}
	switch balance := ledger.Balance(); {
	case errors.Is(err, context.Canceled):
		return &exitError{exitStopped, errors.New("export: interrupted")}
	case err != nil:
		return runError("export: %w", err)
	case balance != nil:
		return &exitError{exitInvalid, balance}
	}
	return nil
}

// export moves what is selected from src to sink and keeps the books.
func export(ctx context.Context, src traffic.Source, sink traffic.Sink, only *selection) (l traffic.Ledger, _ error) {
	l.Stage = "export"
	x := new(traffic.Exchange)
	for {
		if err := src.Next(ctx, x); errors.Is(err, io.EOF) {
			return l, nil
		} else if err != nil {
			return l, err
		}
		l.Accepted++
		if !only.keeps(x) {
			l.Filtered++
			continue
		}
		var refusal *codec.Refusal
		switch err := sink.Put(ctx, x); {
		case errors.As(err, &refusal):
			l.Drop(refusal.Why, 1)
		case err != nil:
			l.Drop("unwritten", 1)
			return l, err
		default:
			l.Passed++
		}
	}
}
