package main

import (
	"slices"

	"github.com/redlane/redlane/bench/internal/lab"
)

// goals of the figures, by key.
var goals = map[string]lab.Goal{
	"unarmed_ns":            lab.AtMost(20),
	"delay50_p50_ms":        lab.AtMost(50.3),
	"delay50_p99_ms":        lab.AtMost(50.8),
	"share_worst_error_pct": lab.AtMost(0.3),
	"apply_p99_ms":          lab.AtMost(25),
	"orphans":               lab.AtMost(0),
	"abort_p99_ms":          lab.AtMost(300),
	"ratio_toxiproxy":       lab.AtMost(0.35),
}

// parts measure them, each in a file of its own.
var parts = lab.NewParts[*bench](goals)

// figure keeps what several rounds gave.
func (b *bench) figure(key string, values []float64) {
	b.done[key] = true
	b.Figure(key, lab.SpreadOf(values, nil), goals[key])
}

// single keeps what is one number of many samples, such as a p99, and says how it came about.
func (b *bench) single(key string, value float64, format string, args ...any) {
	b.done[key] = true
	b.Single(key, value, goals[key], format, args...)
}

// quantile of numbers, by the nearest rank.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
