package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
)

func recordingCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recording",
		Short: "Look at recordings, and remove them from ClickHouse: ls, stat, histogram, rm",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(recordingLsCmd(), recordingStatCmd(), recordingHistogramCmd(), recordingRmCmd())
	return cmd
}

func recordingLsCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls WHERE",
		Short: "List the recordings of a database, or the tapes under a folder",
		Long: `WHERE is clickhouse://HOST:PORT/DATABASE, with all its hosts or its ?cluster=NAME when there are several, or a
folder. "being written" is a recording whose upload spoke in the last minute; one that is silent for longer was
cut off, and goes on when its tape is uploaded again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !inClickHouse(args[0]) {
				dir, err := tape.Path(args[0])
				if err != nil {
					return usageError("%w", err)
				}
				return listTapes(cmd, dir)
			}
			list, err := clickhouse.List(cmd.Context(), args[0])
			if err != nil {
				return runError("list recordings: %w", err)
			}
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no recordings there")
				return nil
			}
			printRecordings(cmd.OutOrStdout(), list)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the ledgers; not of tapes")
	return cmd
}

func inClickHouse(where string) bool { return strings.HasPrefix(where, "clickhouse://") }

func printRecordings(w io.Writer, list []clickhouse.Recording) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RECORDING\tID\tFROM\tTO\tEXCHANGES\tSIZE\tSERVERS\tSTATE\tLEDGER")
	for i := range list {
		r := &list[i]
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", r.Name, r.ID, stamp(r.Started), stamp(r.Ended), r.Exchanges, size(int64(r.Bytes)), r.Nodes, recordingState(r), books(r))
	}
	table.Flush()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// silence is after how long an upload that says nothing counts as cut off: it speaks every ten seconds.
const silence = time.Minute

func recordingState(r *clickhouse.Recording) string {
	var state string
	switch quiet := time.Since(r.Updated); {
	case r.Complete:
		state = "complete"
	case quiet < silence:
		state = "being written"
	default:
		state = fmt.Sprintf("cut off %s ago", quiet.Round(time.Second))
	}
	if !r.Expires.IsZero() {
		state += ", kept until " + stamp(r.Expires)
	}
	return state
}

// books says whether every stage's ledger balances and the store has what it acknowledged.
func books(r *clickhouse.Recording) string {
	for i := range r.Ledgers {
		if err := r.Ledgers[i].Balance(); err != nil && r.Complete {
			return err.Error()
		}
	}
	var lost uint64
	for i := range r.Ledgers {
		lost += r.Ledgers[i].Lost()
	}
	switch {
	case !r.Complete:
		return "open"
	case r.Expires.IsZero() && r.Exchanges != r.Announced:
		return fmt.Sprintf("does not balance: %d were acknowledged", r.Announced)
	case lost > 0:
		return fmt.Sprintf("balanced, %d dropped", lost)
	}
	return "balanced"
}

func recordingRmCmd() *cobra.Command {
	var force, dry bool
	cmd := &cobra.Command{
		Use:   "rm clickhouse://HOST:PORT/DATABASE?recording=NAME",
		Short: "Remove a recording from every server",
		Long: `Drops the recording's partition on every server of the address, then its entry. The tape that fed it stays, and can
be uploaded again. A recording whose upload has not come to its end is left alone unless --force: stop the
recorder first, or what it still sends stays behind.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !inClickHouse(args[0]) {
				return usageError("remove %q: only recordings in ClickHouse are removed here; a tape is a folder of files", args[0])
			}
			r, err := clickhouse.Stat(cmd.Context(), args[0])
			if err != nil {
				return runError("remove recording: %w", err)
			}
			if dry {
				fmt.Fprintf(cmd.OutOrStdout(), "would remove %q: %d exchanges, %s on %d servers, %s\n", r.Name, r.Exchanges, size(int64(r.Bytes)), r.Nodes, recordingState(&r))
				return nil
			}
			if err := clickhouse.Remove(cmd.Context(), args[0], force); err != nil {
				if errors.Is(err, clickhouse.ErrIncomplete) {
					return runError("remove recording: %w (%s): stop the recorder, or say --force", err, recordingState(&r))
				}
				return runError("remove recording: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %q: %d exchanges, %s\n", r.Name, r.Exchanges, size(int64(r.Bytes)))
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also one that is being written")
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "say what would be removed")
	return cmd
}
