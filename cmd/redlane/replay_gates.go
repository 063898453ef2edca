package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
)

// gates are limits that a run must keep. For more than these there are scenarios.
type gates struct {
	set       *pflag.FlagSet
	maxErrors conf.Share
	maxP99    time.Duration
}

func (g *gates) flags(f *pflag.FlagSet) {
	g.set = f
	f.TextVar(&g.maxErrors, "max-errors", conf.Share(1), "share of requests that may fail, such as 1%: no answer, or 500 and above; more is exit code 1")
	f.DurationVar(&g.maxP99, "max-p99", 0, "p99 of the latency from the due time, such as 50ms; more is exit code 1")
}

// judge prints every gate that was asked for, and returns what did not hold.
func (g *gates) judge(w io.Writer, r *replayer.Result) error {
	var failed []string
	gate := func(name, limit, got string, ok bool) {
		if !g.set.Changed(name) {
			return
		}
		text := fmt.Sprintf("%s %s: %s", strings.ReplaceAll(name, "-", " "), limit, got)
		if ok {
			fmt.Fprintln(w, "✓", text)
			return
		}
		fmt.Fprintln(w, "✕", text)
		failed = append(failed, text)
	}
	t := &r.Total
	share := float64(t.Errors.Sum()) / float64(max(t.Count, 1))
	gate("max-errors", g.maxErrors.String(), fmt.Sprintf("%.2f%%", 100*share), share <= float64(g.maxErrors))
	p99 := t.Due.Quantile(0.99)
	gate("max-p99", g.maxP99.String(), round(p99).String(), p99 <= g.maxP99)
	if len(failed) == 0 {
		return nil
	}
	return errors.New("replay: " + strings.Join(failed, "; "))
}
