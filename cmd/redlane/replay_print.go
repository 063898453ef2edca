package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
)

// printReplay is the report of a replay for a terminal: the books, the rate, times, errors, and what became of each
// route. The verdict follows it.
func printReplay(w io.Writer, r *replayer.Result) {
	fmt.Fprintf(w, "run %s, target %s\n", r.RunID, &r.Target)
	fmt.Fprintln(w, &r.Ledger)
	fmt.Fprintf(w, "rate: asked %.1f/s, achieved %.1f/s (%+.2f%%), %d connections for %d sessions\n",
		r.Asked, r.Achieved, (r.Achieved/max(r.Asked, 1e-9)-1)*100, r.Connections, r.Sessions)
	t := &r.Total
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name string
		h    *hdr.Hist
	}{{"latency from due", &t.Due}, {"latency from send", &t.Sent}, {"lag", &t.Lag}, {"lag, our part", &r.Pace}} {
		fmt.Fprint(table, row.name)
		for _, q := range []float64{50, 90, 99, 99.9} {
			fmt.Fprintf(table, "\tp%v %s", q, round(row.h.Quantile(q/100)))
		}
		fmt.Fprintf(table, "\tmax %s\n", round(row.h.Max()))
	}
	table.Flush()
	e := &t.Errors
	fmt.Fprintf(w, "errors: %d of %d (connect %d, reset %d, timeout %d, protocol %d, 5xx %d); status differs from the recording: %d of %d\n",
		e.Sum(), t.Count, e.Connect, e.Reset, e.Timeout, e.Protocol, e.Status5xx, r.Mismatched, r.Compared)
	printRewritten(w, r)
	printRouteTable(w, r)
}

// shownRows is how many rows the table has at most: a terminal's worth.
const shownRows = 30

type routeRow struct {
	route  string
	status int
	due    hdr.Hist
	count  uint64
}

// printRouteTable is a table of routes and statuses, the most frequent first. Latencies are from the due time.
func printRouteTable(w io.Writer, r *replayer.Result) {
	type key struct {
		route  string
		status int
	}
	sums := make(map[key]*routeRow)
	var rows []*routeRow
	for i := range r.Cells {
		c := &r.Cells[i]
		row := sums[key{c.Route, c.Status}]
		if row == nil {
			row = &routeRow{route: c.Route, status: c.Status}
			sums[key{c.Route, c.Status}] = row
			rows = append(rows, row)
		}
		row.count += c.Count
		row.due.Merge(&c.Due)
	}
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b *routeRow) int {
		return cmp.Or(-cmp.Compare(a.count, b.count), cmp.Compare(a.route, b.route), cmp.Compare(a.status, b.status))
	})
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "route\tstatus\trequests\tshare\tp50\tp90\tp99\tmax")
	for _, row := range rows[:min(len(rows), shownRows)] {
		fmt.Fprintf(table, "%s\t%s\t%d\t%.1f%%\t%s\t%s\t%s\t%s\n", oneCell(row.route), statusText(row.status), row.count,
			100*float64(row.count)/float64(r.Total.Count), round(row.due.Quantile(0.5)), round(row.due.Quantile(0.9)), round(row.due.Quantile(0.99)), round(row.due.Max()))
	}
	table.Flush()
	if more := len(rows) - shownRows; more > 0 {
		fmt.Fprintf(w, "and %d more; --results has them all\n", more)
	}
	if r.Step > 1 {
		fmt.Fprintf(w, "cells are of %d s each: the run was too long for one a second\n", r.Step)
	}
	fmt.Fprintln(w)
}

// oneCell is text that came with the traffic, made harmless for a terminal and a table.
func oneCell(text string) string {
	clean := strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, text)
	if runes := []rune(clean); len(runes) > 60 {
		clean = string(runes[:59]) + "…"
	}
	return clean
}

func statusText(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status)
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(100 * time.Nanosecond)
	}
	return d.Round(10 * time.Microsecond)
}
