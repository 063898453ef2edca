package lab

import (
	"context"
	"fmt"
	"slices"
)

// A Comparison is some contestants under the same load, measured in turn.
type Comparison struct {
	Conns   int
	names   []string            // in the order of the table
	Samples map[string][]Sample // by name, one for each round
}

// Compare measures all in every round, each round beginning with another one: what drifts, or what one leaves
// behind for the next, meets everybody.
func (b *Lab) Compare(ctx context.Context, all []Contestant, conns int, at Place, rounds int) (Comparison, error) {
	c := Comparison{Conns: conns, Samples: make(map[string][]Sample)}
	for _, one := range all {
		c.names = append(c.names, one.Name)
	}
	if err := b.Backend.Move(at.Rest); err != nil {
		return c, err
	}
	spare := b.Config.Again
	for round := range rounds {
		first := round % len(all)
		for _, one := range slices.Concat(all[first:], all[:first]) {
			s, err := b.sample(ctx, one, conns, at, &spare)
			if err != nil {
				return c, err
			}
			c.Samples[one.Name] = append(c.Samples[one.Name], s)
		}
	}
	return c, nil
}

// A Spread is what several rounds gave.
type Spread struct {
	Median, Least, Most float64
	Clean, all          int
}

func (s Spread) String() string { return fmt.Sprintf("%.2f [%.2f..%.2f]", s.Median, s.Least, s.Most) }

// Pairs spreads f of the samples that a and b gave in the same round, over the clean rounds where there are any.
func (c Comparison) Pairs(a, b string, f func(a, b Sample) float64) Spread {
	var clean, all []float64
	for i, s := range c.Samples[a] {
		other := c.Samples[b][i]
		all = append(all, f(s, other))
		if s.Clean() && other.Clean() {
			clean = append(clean, all[len(all)-1])
		}
	}
	return SpreadOf(clean, all)
}

// Each spreads f of the samples of one contestant, likewise.
func (c Comparison) Each(name string, f func(Sample) float64) Spread {
	return c.Pairs(name, name, func(a, _ Sample) float64 { return f(a) })
}

// Ratio is CPU per request of a, in those of b.
func (c Comparison) Ratio(a, b string) Spread {
	return c.Pairs(a, b, func(a, b Sample) float64 { return a.PerRequest() / b.PerRequest() })
}

// SpreadOf spreads the clean ones, or all where there is none. It sorts what it is given.
func SpreadOf(clean, all []float64) Spread {
	used := clean
	if len(used) == 0 {
		used = all
	}
	slices.Sort(used)
	return Spread{Median: Median(used), Least: used[0], Most: used[len(used)-1], Clean: len(clean), all: len(all)}
}

// Median of sorted numbers.
func Median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
