package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
)

func recordingStatCmd() *cobra.Command {
	var top int
	cmd := &cobra.Command{
		Use:   "stat WHERE",
		Short: "Say what is in a recording: rates, services, routes, status, latency",
		Long: `WHERE is clickhouse://HOST:PORT/DATABASE?recording=NAME, or a tape. In ClickHouse only the small columns are read: a
second for some millions of exchanges. Latencies are from the first byte of the request to the last of the
response, right to 1.1 %.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !inClickHouse(args[0]) {
				s, err := tape.Stat(args[0])
				if err != nil {
					return usageError("%w", err)
				}
				printStat(cmd.OutOrStdout(), s)
				return nil
			}
			s, err := clickhouse.Summarise(cmd.Context(), args[0])
			if err != nil {
				return runError("stat recording: %w", err)
			}
			printSummary(cmd.OutOrStdout(), s, top)
			return nil
		},
	}
	cmd.Flags().IntVar(&top, "top", 20, "routes to list, the busiest first; 0 is all")
	return cmd
}

func printSummary(w io.Writer, s *clickhouse.Summary, top int) {
	fmt.Fprintf(w, "recording: %s (%s)\n", s.Name, recordingState(&s.Recording))
	fmt.Fprintf(w, "exchanges: %d of %d tapes", s.Exchanges, s.Tapes)
	if sampled := s.StandFor > float64(s.Exchanges)*1.001; sampled {
		fmt.Fprintf(w, ", stand for %.0f", s.StandFor)
	}
	fmt.Fprintln(w)
	if s.Exchanges > 0 {
		length := s.Ended.Sub(s.Started)
		fmt.Fprintf(w, "time:      %s to %s, %s\n", s.Started.UTC().Format("2006-01-02 15:04:05.000"), s.Ended.UTC().Format("15:04:05.000 MST"), round(length))
		fmt.Fprintf(w, "rate:      %.1f/s, at most %d in the second %s\n", perSecond(s.Exchanges, length), s.Peak, s.PeakAt.Format("15:04:05"))
		fmt.Fprintf(w, "size:      %s, %.1f bytes an exchange, %d shards on %d servers\n", size(int64(s.Bytes)), float64(s.Bytes)/float64(s.Exchanges), s.Shards, s.Nodes)
	}
	for i := range s.Ledgers {
		fmt.Fprintf(w, "ledger:    %s\n", &s.Ledgers[i])
	}
	services := by(s.Groups, func(g *clickhouse.Group) string { return g.Service })
	routes := by(s.Groups, func(g *clickhouse.Group) string { return g.Service + " " + g.Route })
	status := by(s.Groups, func(g *clickhouse.Group) string { return statusName(g.Status) })
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.TabIndent)
	for _, part := range []struct {
		title string
		rows  []line
		top   int
	}{{"SERVICE", services, 0}, {"STATUS", status, 0}, {"ROUTE", routes, top}} {
		fmt.Fprintf(table, "\nEXCHANGES\tRATE\tp50\tp99\t  %s\n", part.title)
		for i, l := range part.rows {
			if part.top > 0 && i == part.top {
				fmt.Fprintf(table, "\t\t\t\t  and %d more\n", len(part.rows)-i)
				break
			}
			fmt.Fprintf(table, "%d\t%.1f/s\t%s\t%s\t  %s\n", l.Exchanges, perSecond(l.Exchanges, s.Ended.Sub(s.Started)), short(l.Quantile(0.5)), short(l.Quantile(0.99)), l.name)
		}
	}
	table.Flush()
}

func statusName(code int) string {
	if code == 0 {
		return "none"
	}
	return fmt.Sprint(code)
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// short is a latency to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

type line struct {
	name string
	*clickhouse.Latencies
}

// by adds up the groups that have the same name, the largest first.
func by(groups []clickhouse.Group, name func(*clickhouse.Group) string) []line {
	sums := map[string]*clickhouse.Latencies{}
	for i := range groups {
		key := name(&groups[i])
		if sums[key] == nil {
			sums[key] = new(clickhouse.Latencies)
		}
		sums[key].Add(&groups[i].Latencies)
	}
	var lines []line
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		lines = append(lines, line{key, sums[key]})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return -cmp.Compare(a.Exchanges, b.Exchanges) })
	return lines
}
