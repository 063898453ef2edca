package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// loops asks whether a second loop makes a request dearer. Both cores are everybody's, wrk and the backend
// included: a second core that only the proxy has would show throughput and hide the cost.
func (b *bench) loops(ctx context.Context, r *report) error {
	at := place{proxy: bothCores, rest: bothCores}
	c, err := b.compare(ctx, []contestant{b.withLoops("one loop", 1), b.withLoops("two loops", 2)}, 64, at, b.rounds)
	if err != nil {
		return err
	}
	r.table("64 connections, both cores shared by all", c)
	r.figure("one_vs_two_loops", c.ratio("two loops", "one loop"), 1.1)
	return nil
}

func (b *bench) withLoops(name string, n int) contestant {
	c := redlane{full: true}
	if b.knows("loops") {
		c.args = []string{"--loops", strconv.Itoa(n)}
	} else { // as many as Go may use cores
		c.env = []string{"GOMAXPROCS=" + strconv.Itoa(n)}
	}
	return contestant{name, func(ctx context.Context, b *bench, cores []int) (*running, error) {
		run, err := c.start(ctx, b, cores)
		if err != nil {
			return nil, err
		}
		text, err := get(ctx, "http://"+run.admin+"/metrics")
		if has := int(sum(text, "redlane_loops")); err == nil && has != n {
			err = fmt.Errorf("redlane runs %d loops, asked for %d", has, n)
		}
		if err != nil {
			return nil, errors.Join(err, b.stop(run.proc))
		}
		return run, nil
	}}
}
