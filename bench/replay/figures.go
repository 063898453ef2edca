package main

import (
	"context"
	"fmt"

	"github.com/redlane/redlane/bench/internal/lab"
)

// goals of the figures, by key.
var goals = map[string]lab.Goal{
	"ratio_wrk_c64":            lab.AtMost(0.85),
	"ratio_vegeta":             lab.AtMost(0.25),
	"open_loop_achieved_per_s": lab.AtLeast(99_500),
	"open_loop_lag_p99_us":     lab.AtMost(1000),
	"rate_5k_error_pct":        lab.AtMost(0.1),
	"rate_20k_error_pct":       lab.AtMost(0.1),
	"lag_20k_p50_us":           lab.AtMost(60),
	"lag_20k_p99_us":           lab.AtMost(300),
	"stall_p99_ms":             lab.AtLeast(900),
	"plan_per_s":               lab.AtLeast(1_500_000),
	"takeover_ms":              lab.AtMost(2000),
}

// parts measure them, each in a file of its own.
var parts = lab.NewParts[*bench](goals)

// figure keeps what several rounds gave.
func (b *bench) figure(key string, values []float64) {
	b.done[key] = true
	b.Figure(key, lab.SpreadOf(values, nil), goals[key])
}

// children are programs that parts start on cores of their own: this one again, with -child NAME.
var children = map[string]func(ctx context.Context, addr string, n int) error{}

func registerChild(name string, run func(ctx context.Context, addr string, n int) error) struct{} {
	children[name] = run
	return struct{}{}
}

func beChild(ctx context.Context, o options) error {
	run := children[o.child]
	if run == nil {
		return fmt.Errorf("no child %q", o.child)
	}
	return run(ctx, o.addr, o.n)
}
