package main

import (
	"context"
	"fmt"
	"slices"
)

// A comparison is some contestants under the same load, measured in turn.
type comparison struct {
	conns   int
	names   []string            // in the order of the table
	samples map[string][]sample // by name, one for each round
}

// peers take part at every level, the others where a figure asks for them.
var peers = []contestant{haproxy, nginx, bare, full, record}

// level compares the proxies at a number of connections.
func (b *bench) level(ctx context.Context, conns int) (comparison, error) {
	all := peers
	if conns == 64 {
		all = append([]contestant{direct}, all...)
		if why := b.trySockmap(ctx); why == "" {
			all = append(all, sockmap)
		} else {
			fmt.Printf("  left out: sockmap: %s\n", why)
		}
	}
	return b.compare(ctx, all, conns, twoCores, b.rounds)
}

// trySockmap starts redlane with sockmap once, and says why that does not work here.
func (b *bench) trySockmap(ctx context.Context) (why string) {
	if !b.knows("sockmap") {
		return "this build has no --sockmap"
	}
	r, err := sockmap.start(ctx, b, coreOfProxy)
	if err != nil {
		return err.Error()
	}
	if err := b.stop(r.proc); err != nil {
		return err.Error()
	}
	return ""
}

// compare measures all in every round, each round beginning with another one: what drifts, or what one leaves
// behind for the next, meets everybody.
func (b *bench) compare(ctx context.Context, all []contestant, conns int, at place, rounds int) (comparison, error) {
	c := comparison{conns: conns, samples: make(map[string][]sample)}
	for _, one := range all {
		c.names = append(c.names, one.name)
	}
	if err := b.backend.move(at.rest); err != nil {
		return c, err
	}
	spare := b.again
	for round := range rounds {
		first := round % len(all)
		for _, one := range slices.Concat(all[first:], all[:first]) {
			s, err := b.sample(ctx, one, conns, at, &spare)
			if err != nil {
				return c, err
			}
			c.samples[one.name] = append(c.samples[one.name], s)
		}
	}
	return c, nil
}

// A spread is what several rounds gave.
type spread struct {
	median, least, most float64
	clean, all          int
}

func (s spread) String() string { return fmt.Sprintf("%.2f [%.2f..%.2f]", s.median, s.least, s.most) }

// pairs spreads f of the samples that a and b gave in the same round, over the clean rounds where there are any.
func (c comparison) pairs(a, b string, f func(a, b sample) float64) spread {
	var clean, all []float64
	for i, s := range c.samples[a] {
		other := c.samples[b][i]
		all = append(all, f(s, other))
		if s.clean() && other.clean() {
			clean = append(clean, all[len(all)-1])
		}
	}
	return spreadOf(clean, all)
}

// each spreads f of the samples of one contestant, likewise.
func (c comparison) each(name string, f func(sample) float64) spread {
	return c.pairs(name, name, func(a, _ sample) float64 { return f(a) })
}

// ratio is CPU per request of a, in those of b.
func (c comparison) ratio(a, b string) spread {
	return c.pairs(a, b, func(a, b sample) float64 { return a.perRequest() / b.perRequest() })
}

func spreadOf(clean, all []float64) spread {
	used := clean
	if len(used) == 0 {
		used = all
	}
	slices.Sort(used)
	return spread{median: median(used), least: used[0], most: used[len(used)-1], clean: len(clean), all: len(all)}
}

// median of sorted numbers.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
