package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redlane/redlane/bench/internal/lab"
)

// loops asks whether a second loop makes a request dearer. Both cores are everybody's, wrk and the backend
// included: a second core that only the proxy has would show throughput and hide the cost.
func (b *bench) loops(ctx context.Context, r *lab.Report) error {
	at := lab.Place{Proxy: lab.BothCores, Rest: lab.BothCores}
	c, err := b.Compare(ctx, []lab.Contestant{b.withLoops("one loop", 1), b.withLoops("two loops", 2)}, 64, at, b.rounds)
	if err != nil {
		return err
	}
	r.Table("64 connections, both cores shared by all", c, haproxy.Name)
	r.Figure("one_vs_two_loops", c.Ratio("two loops", "one loop"), lab.AtMost(1.1))
	return nil
}

func (b *bench) withLoops(name string, n int) lab.Contestant {
	c := lab.Redlane{Full: true}
	if b.Knows("loops") {
		c.Args = []string{"--loops", strconv.Itoa(n)}
	} else { // as many as Go may use cores
		c.Env = []string{"GOMAXPROCS=" + strconv.Itoa(n)}
	}
	return lab.Contestant{Name: name, Start: func(ctx context.Context, b *lab.Lab, cores []int) (*lab.Running, error) {
		run, err := c.Start(ctx, b, cores)
		if err != nil {
			return nil, err
		}
		text, err := lab.Get(ctx, "http://"+run.Admin+"/metrics")
		if has := int(lab.Sum(text, "redlane_loops")); err == nil && has != n {
			err = fmt.Errorf("redlane runs %d loops, asked for %d", has, n)
		}
		if err != nil {
			return nil, errors.Join(err, b.Stop(run.Proc))
		}
		return run, nil
	}}
}
