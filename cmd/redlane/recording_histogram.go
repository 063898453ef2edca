package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// A latencyOf says which exchanges a histogram is of. Empty is all.
type latencyOf struct {
	service, caller, lane, method, route string
	pattern                              *template.Pattern
}

func recordingHistogramCmd() *cobra.Command {
	var of latencyOf
	cmd := &cobra.Command{
		Use:   "histogram WHERE",
		Short: "Print the latencies of an edge as one line, for a delay that is drawn from them",
		Long: `WHERE is a recording, or the results of a replay (a file whose name ends in .json). The line is an HdrHistogram in
its V2 compressed format, in nanoseconds: it goes into the histogram of a delay (docs/faults.md). Exchanges
without an answer are left out. What was counted is said on standard error.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if of.route != "" {
				if of.pattern, err = template.Compile(of.route); err != nil {
					return usageError("--route %q: %w", of.route, err)
				}
			}
			var h hdr.Hist
			if strings.HasSuffix(args[0], ".json") {
				err = of.results(args[0], &h)
			} else {
				err = of.recording(cmd.Context(), args[0], &h)
			}
			if err != nil {
				return err
			}
			drawn, err := injector.NewHistogram(&h)
			if err != nil {
				return runError("histogram of %s: no exchange that was answered is of this service, caller, lane, method and route", args[0])
			}
			fmt.Fprintln(cmd.OutOrStdout(), drawn)
			fmt.Fprintln(cmd.ErrOrStderr(), drawn.Summary())
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&of.service, "service", "", "only exchanges with this service")
	f.StringVar(&of.caller, "caller", "", "only exchanges of this caller")
	f.StringVar(&of.lane, "lane", "", "only exchanges in this lane; baseline is those in none")
	f.StringVar(&of.method, "method", "", "only exchanges of this method")
	f.StringVar(&of.route, "route", "", "only exchanges of this route, such as /packets/{id}; of results as it stands there")
	return cmd
}

func (of *latencyOf) recording(ctx context.Context, name string, h *hdr.Hist) error {
	src, err := store.Open(ctx, name)
	if err != nil {
		return usageError("%w", err)
	}
	defer src.Close()
	x := new(traffic.Exchange)
	for {
		if err := src.Next(ctx, x); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return runError("%w", err)
		}
		if x.Response.Status > 0 && of.in(x.Dst, x.Src, x.Color) && (of.method == "" || of.method == string(x.Request.Method)) &&
			(of.pattern == nil || of.pattern.Match(x.Request.Target)) {
			h.Record(x.Latency)
		}
	}
}

// results takes the latency from sending: what the target took. A replay knows neither caller nor service.
func (of *latencyOf) results(name string, h *hdr.Hist) error {
	if of.service != "" || of.caller != "" {
		return usageError("histogram of %s: results of a replay have lanes and routes, but no --service and no --caller", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return usageError("%w", err)
	}
	var r replayer.Result
	if err := json.Unmarshal(data, &r); err != nil {
		return usageError("read %s: %w", name, err)
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		method, route, _ := strings.Cut(c.Route, " ")
		if c.Status > 0 && of.in("", "", c.Lane) && (of.method == "" || of.method == method) && (of.route == "" || of.route == route) {
			h.Merge(&c.Sent)
		}
	}
	return nil
}

func (of *latencyOf) in(service, caller string, lane traffic.Color) bool {
	return (of.service == "" || of.service == service) && (of.caller == "" || of.caller == caller) && (of.lane == "" || of.lane == lane.Name())
}
