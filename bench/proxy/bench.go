package main

import (
	"context"

	"github.com/redlane/redlane/bench/internal/lab"
)

// A bench is one run of the program.
type bench struct {
	*lab.Lab
	options
	plan
}

func newBench(ctx context.Context, o options, p plan) (*bench, error) {
	c, err := lab.New(ctx, lab.Config{Redlane: o.redlane, Engine: o.engine, Needs: []string{"haproxy"}, Warm: p.warm, Load: p.load, Again: p.again})
	return &bench{c, o, p}, err
}
