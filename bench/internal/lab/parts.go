package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parts are what a benchmark of type B consists of. A part measures some of the figures, in a file of its own that adds
// it to the table.
type Parts[B any] struct {
	goals map[string]Goal
	all   map[string]*Part[B]
}

// A Part measures some of the figures.
type Part[B any] struct {
	Name string
	Keys []string // each of which it gives, or leaves out with a reason
	run  func(B, context.Context) error
}

// NewParts makes an empty table. Every key of a part must have a goal.
func NewParts[B any](goals map[string]Goal) *Parts[B] {
	return &Parts[B]{goals, make(map[string]*Part[B])}
}

// Add puts a part into the table. It returns a value so that a file can call it in a var line.
func (p *Parts[B]) Add(name string, keys []string, run func(B, context.Context) error) struct{} {
	for _, key := range keys {
		if _, ok := p.goals[key]; !ok {
			panic("BUG: no goal for " + key)
		}
	}
	if p.all[name] != nil {
		panic("BUG: two parts " + name)
	}
	p.all[name] = &Part[B]{name, keys, run}
	return struct{}{}
}

// Names are in the order of the report.
func (p *Parts[B]) Names() []string { return slices.Sorted(maps.Keys(p.all)) }

// Choose finds the parts named, with commas between, or all, in the order of the report.
func (p *Parts[B]) Choose(only string) (chosen []*Part[B], err error) {
	named := strings.Split(only, ",")
	for _, name := range named {
		if only != "" && p.all[name] == nil {
			return nil, fmt.Errorf("no part %q: there are %s", name, strings.Join(p.Names(), ", "))
		}
	}
	for _, name := range p.Names() {
		if only == "" || slices.Contains(named, name) {
			chosen = append(chosen, p.all[name])
		}
	}
	return chosen, nil
}

// Measure runs the part. done has the keys that were given or left out.
func (p *Part[B]) Measure(ctx context.Context, b B, r *Report, done map[string]bool) error {
	r.Note("\n%s", p.Name)
	if err := p.run(b, ctx); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	for _, key := range p.Keys {
		if !done[key] {
			return fmt.Errorf("BUG: part %s gives no %s and does not say why", p.Name, key)
		}
	}
	return nil
}
