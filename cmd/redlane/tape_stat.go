package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/recorder/template"
)

func tapeStatCmd() *cobra.Command {
	var patterns []string
	cmd := &cobra.Command{
		Use:   "stat TAPE",
		Short: "Say what is on a tape",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			routes, err := template.New(template.Config{Patterns: patterns})
			if err != nil {
				return usageError("--route: %w", err)
			}
			s, err := tape.StatRoutes(args[0], routes)
			if err != nil {
				return usageError("%w", err)
			}
			printStat(cmd.OutOrStdout(), s)
			printRoutes(cmd.OutOrStdout(), routes)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&patterns, "route", nil, "pattern such as /packets/{id} to count by; the others are learned")
	return cmd
}

// topRoutes is how many are listed.
const topRoutes = 10

func printRoutes(w io.Writer, t *template.Table) {
	routes := t.Routes()
	rest := t.Other()
	for i, r := range routes {
		if i < topRoutes {
			fmt.Fprintf(w, "route:     %s %s %s %d\n", r.Service, r.Method, r.Template, r.Count)
		} else {
			rest += r.Count
		}
	}
	if rest > 0 {
		fmt.Fprintf(w, "route:     all others %d\n", rest)
	}
}

func printStat(w io.Writer, s *tape.Stats) {
	fmt.Fprintf(w, "tape:      %s (%s)\n", s.Path, tapeState(s))
	fmt.Fprintf(w, "exchanges: %d in %d sessions\n", s.Exchanges, s.Sessions)
	if s.Exchanges > 0 {
		fmt.Fprintf(w, "time:      %s to %s, %s, %.1f/s\n", s.First.UTC().Format("2006-01-02 15:04:05.000"), s.Last.UTC().Format("15:04:05.000 MST"), round(s.Duration()), s.Rate())
		fmt.Fprintf(w, "size:      %s in %d segments, %.1f bytes an exchange, compressed %.1f times\n", size(s.Bytes), s.Segments, float64(s.Bytes)/float64(s.Exchanges), s.Ratio())
	}
	fmt.Fprintf(w, "services:  %s\n", tally(s.Services, func(name string) string { return name }))
	lanes := make(map[string]uint64)
	for c, n := range s.Lanes {
		lanes[c.Name()] += n
	}
	fmt.Fprintf(w, "lanes:     %s\n", tally(lanes, func(name string) string { return name }))
	fmt.Fprintf(w, "status:    %s\n", tally(s.Status, func(code int) string {
		if code == 0 {
			return "none"
		}
		return fmt.Sprint(code)
	}))
	if e := s.Meta.Expired; e != nil {
		fmt.Fprintf(w, "expired:   %d exchanges in %d segments, %s\n", e.Exchanges, e.Segments, size(e.Bytes))
	}
	for _, run := range s.Meta.Runs {
		if run.Ledger != nil {
			fmt.Fprintf(w, "ledger:    %s\n", run.Ledger)
		}
		if len(run.Redaction) > 0 {
			fmt.Fprintf(w, "redacted:  %s\n", strings.Join(run.Redaction, ", "))
		}
		if run.Error != "" {
			fmt.Fprintf(w, "ended by:  %s\n", run.Error)
		}
	}
}

// tally lists counts, largest first.
func tally[K cmp.Ordered](counts map[K]uint64, name func(K) string) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(-cmp.Compare(counts[a], counts[b]), cmp.Compare(a, b))
	})
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s %d", name(k), counts[k])
	}
	return strings.Join(parts, ", ")
}
