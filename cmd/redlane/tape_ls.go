package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/tape"
)

func tapeLsCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [FOLDER]",
		Short: "List the tapes under a folder",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := "."
			if len(args) == 1 {
				root = args[0]
			}
			return listTapes(cmd, root)
		},
	}
}

// metaFile stands in every tape and is how one is found.
const metaFile = "meta.json"

func listTapes(cmd *cobra.Command, root string) error {
	if _, err := os.Stat(root); err != nil {
		return usageError("list tapes: %w", err)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	defer table.Flush()
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != metaFile {
			return err
		}
		dir := filepath.Dir(path)
		segments, err := filepath.Glob(filepath.Join(dir, "*.tape"))
		if err != nil || len(segments) == 0 {
			return err // another program's meta.json
		}
		if n++; n == 1 {
			fmt.Fprintln(table, "TAPE\tSTARTED\tDURATION\tEXCHANGES\tSIZE\tSTATE")
		}
		if s, err := tape.Stat(dir); err == nil {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", dir, s.First.Format("2006-01-02 15:04:05"), round(s.Duration()), s.Exchanges, size(s.Bytes), tapeState(s))
		} else {
			fmt.Fprintf(table, "%s\t\t\t\t\tdamaged, see verify\n", dir)
		}
		return nil
	})
	if err != nil {
		return runError("list tapes: %w", err)
	}
	if n == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "no tapes under %s\n", root)
	}
	return nil
}

func tapeState(s *tape.Stats) string {
	switch {
	case s.Live:
		return "recording"
	case s.Torn.Cause != "":
		return "torn, see verify"
	case s.Lost > 0:
		return fmt.Sprintf("%d missing", s.Lost)
	}
	return "whole"
}

// size is a number of bytes for people, to three digits.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return conf.Bytes(n).String()
	}
	return fmt.Sprintf("%.3g %s", f, unit)
}
