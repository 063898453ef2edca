package main

import (
	"context"
	"fmt"

	"github.com/redlane/redlane/bench/internal/lab"
)

// goals of the figures, by key.
var goals = map[string]lab.Goal{
	"packets_lost_unexplained":     lab.AtMost(0),
	"packets_lost_counted_pct":     lab.AtMost(0.01),
	"packets_us_per_exchange":      lab.AtMost(6),
	"tap_us_per_exchange":          lab.AtMost(3),
	"spool_write_per_s":            lab.AtLeast(350_000),
	"tape_write_per_s":             lab.AtLeast(180_000),
	"tape_read_per_s":              lab.AtLeast(800_000),
	"tape_bytes_small":             lab.AtMost(40),
	"clickhouse_insert_per_s":      lab.AtLeast(100_000),
	"clickhouse_client_us_per_row": lab.AtMost(6),
	"clickhouse_read_per_s":        lab.AtLeast(120_000),
}

// parts measure them, each in a file of its own.
var parts = lab.NewParts[*bench](goals)

// figure keeps what several rounds gave.
func (b *bench) figure(key string, s lab.Spread) {
	b.done[key] = true
	b.Figure(key, s, goals[key])
}

// single keeps what is measured once, and prints how.
func (b *bench) single(key string, v float64, format string, args ...any) {
	b.done[key] = true
	b.Single(key, v, goals[key], format, args...)
}

// leave leaves keys out of the result.
func (b *bench) leave(why error, keys ...string) {
	for _, key := range keys {
		b.done[key] = true
		b.Leave(key, why.Error())
	}
}

// children are programs that parts start with Lab.Start, on cores of their own: this one again, with -child NAME.
var children = map[string]func(context.Context, options) error{}

func registerChild(name string, run func(context.Context, options) error) struct{} {
	children[name] = run
	return struct{}{}
}

func beChild(ctx context.Context, o options) error {
	run := children[o.child]
	if run == nil {
		return fmt.Errorf("no child %q", o.child)
	}
	return run(ctx, o)
}
