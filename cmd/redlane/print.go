package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/redlane/redlane/reports"
)

// printResult is the report for a terminal: books, expectations, verdict last, where the eye ends up.
func printResult(w io.Writer, r *reports.Run, v reports.Verdict) {
	fmt.Fprintln(w)
	for i := range r.Ledgers {
		fmt.Fprintf(w, "%s\n", &r.Ledgers[i])
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range r.Expect {
		e := &r.Expect[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", mark(e), e.Text, e.Got, e.Why)
	}
	table.Flush()
	for i := range r.Invariants {
		if inv := &r.Invariants[i]; !inv.OK {
			fmt.Fprintf(w, "✕ %s@%s: %s: %s\n", inv.Service, inv.Lane, inv.Name, inv.Detail)
		}
	}
	fmt.Fprintf(w, "\n%s: %s\n", v.Word, v.Sentence)
	for _, reason := range v.Reasons {
		fmt.Fprintf(w, "  %s\n", reason)
	}
}

func mark(e *reports.Expectation) string {
	switch {
	case e.Unproven:
		return "?"
	case e.OK:
		return "✓"
	}
	return "✕"
}
