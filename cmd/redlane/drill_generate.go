package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/scenarios/drill"
	"github.com/redlane/redlane/traffic"
)

func drillGenerateCmd() *cobra.Command {
	var p drill.Plan
	var lane, control, out string
	var share conf.Share
	var journals []string
	var pairs bool
	cmd := &cobra.Command{
		Use:   "generate --from TAPE",
		Short: "Make a drill for every edge of a recording and every fault; show which have been run",
		Long: `Counts who calls whom in a recording, and writes one experiment for each edge, busiest first, and each of slow,
error, reset and blackhole. Record at every service (redlane record without --tap) to have the calls between them.
With --journal the edge coverage map is printed: what the drills that were run have found.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.Lane, p.Control, p.Share = traffic.Color(lane), traffic.Color(control), float64(share)
			src, err := store.Open(cmd.Context(), p.Tape)
			if err != nil {
				return usageError("--from: %w", err)
			}
			edges, err := drill.Edges(cmd.Context(), src)
			src.Close()
			if err != nil {
				return runError("%w", err)
			}
			if len(edges) == 0 {
				return usageError("--from %s: nothing in it names the service that was called", p.Tape)
			}
			w := cmd.OutOrStdout()
			if out != "" {
				if err := writeDrills(w, edges, p, pairs, out); err != nil {
					return err
				}
			}
			c := drill.NewCoverage(edges)
			for _, path := range journals {
				text, err := os.ReadFile(path)
				if err != nil {
					return usageError("--journal: %w", err)
				}
				if err := c.Add(text); err != nil {
					return usageError("--journal: %s: %w", path, err)
				}
			}
			printCoverage(w, c)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Tape, "from", "", "recording: tape://DIR or clickhouse://HOST:PORT/DATABASE?recording=NAME")
	f.StringVar(&out, "out", "", "folder for the experiments; empty writes none")
	f.StringVar(&p.To, "to", "", "HOST:PORT of the service that users call")
	f.StringVar(&p.Service, "service", "", "its name in the mesh")
	f.StringVar(&lane, "lane", "", "lane the faults are in")
	f.StringVar(&control, "control-lane", "", "lane without faults")
	f.StringArrayVar(&p.Proxies, "proxy", nil, "admin address of a proxy, http://HOST:PORT; once for each")
	f.StringVar(&p.Controller, "controller", "", "address of redlane inject serve; empty arms the faults at the proxies themselves")
	f.DurationVar(&p.Stand, "stand", 0, "how long each fault stands (default 20s)")
	f.TextVar(&share, "share", conf.Share(0.3), "share of the exchanges that are struck")
	f.Float64Var(&p.Times, "times", 5, "slow is the recorded p99 of the edge, so many times")
	f.Uint64Var(&p.Seed, "seed", 0, "of which exchanges are struck")
	f.BoolVar(&pairs, "pairs", false, "and one drill for each two edges, both slow at once")
	f.StringArrayVar(&journals, "journal", nil, "journal of a drill that was run, for the coverage map; once for each, later ones count")
	_ = cmd.MarkFlagRequired("from") // the flag exists
	return cmd
}

func writeDrills(w io.Writer, edges []drill.Edge, p drill.Plan, pairs bool, out string) error {
	all, err := drill.Generate(edges, p, pairs)
	if err != nil {
		return usageError("%w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return runError("make the drills' folder: %w", err)
	}
	for _, g := range all {
		if err := os.WriteFile(filepath.Join(out, g.Name), g.Text, 0o644); err != nil {
			return runError("write drill: %w", err)
		}
	}
	fmt.Fprintf(w, "%d drills in %s\n", len(all), out)
	return nil
}

// printCoverage is the edge coverage map: a row for each edge, the busiest first.
func printCoverage(w io.Writer, c *drill.Coverage) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "edge\texchanges\tp99")
	for _, kind := range c.Kinds {
		fmt.Fprintf(table, "\t%s", kind)
	}
	fmt.Fprintln(table)
	for i := range c.Rows {
		r := &c.Rows[i]
		fmt.Fprintf(table, "%s\t%d\t%.4g ms", r.Edge.String(), r.Count, r.P99)
		for _, kind := range c.Kinds {
			word := r.Found[kind]
			if word == "" {
				word = "-"
			}
			fmt.Fprintf(table, "\t%s", word)
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	for _, edge := range c.Other {
		fmt.Fprintf(w, "drilled, but not in the recording: %s\n", edge)
	}
	fmt.Fprintln(w, c)
}
