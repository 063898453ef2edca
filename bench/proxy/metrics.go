package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

// allocations is how many objects redlane allocates for each request in steady state, by Go's own count:
// between two looks while wrk runs, less what the same look and the same time cost without traffic.
func (b *bench) allocations(ctx context.Context, r *lab.Report) (err error) {
	run, err := lab.Full.Start(ctx, b.Lab, lab.CoreOfProxy)
	if err != nil {
		return err
	}
	if _, err := b.Wrk(ctx, lab.CoreOfRest, run.Addr, 64, b.Config.Warm); err != nil {
		return err
	}
	// A look allocates some thousand objects itself; which over seconds of traffic is 0.01 or 0.02 a request.
	length := max(2*time.Second, b.Config.Load)
	idle, err := growthOf(ctx, run, 0, length)
	if err != nil {
		return err
	}
	type outcome struct {
		growth
		err error
	}
	busy := make(chan outcome, 1)
	go func() {
		g, err := growthOf(ctx, run, 300*time.Millisecond, length)
		busy <- outcome{g, err}
	}()
	_, err = b.Wrk(ctx, lab.CoreOfRest, run.Addr, 64, length+time.Second)
	got := <-busy
	if err != nil {
		return err
	}
	if got.err != nil {
		return got.err
	}
	if err := b.Stop(run.Proc); err != nil {
		return err
	}
	if got.requests < 1000 {
		return fmt.Errorf("count allocations: only %.0f requests between two looks", got.requests)
	}
	each := max(0, got.mallocs-idle.mallocs) / got.requests
	r.Single("allocs_per_request", each, lab.AtMost(0.02), "%.3f allocations per request: %.0f in %.0f requests at 64 connections, %.0f in the same time without any", each, got.mallocs, got.requests, idle.mallocs)
	return nil
}

// A growth is what changed in the metrics of redlane.
type growth struct {
	mallocs, requests float64
}

// growthOf looks at the metrics after wait, and again after length. The first look of all makes what later ones
// use again, and does not count.
func growthOf(ctx context.Context, r *lab.Running, wait, length time.Duration) (g growth, err error) {
	for i, pause := range []time.Duration{0, wait, length} {
		if err := r.Sleep(ctx, pause); err != nil {
			return g, err
		}
		text, err := lab.Get(ctx, "http://"+r.Admin+"/metrics")
		if err != nil {
			return g, fmt.Errorf("read metrics: %w", err)
		}
		if i > 0 {
			g.mallocs = lab.Sum(text, "go_memstats_mallocs_total") - g.mallocs
			g.requests = lab.Sum(text, "redlane_requests_total") - g.requests
		}
	}
	return g, nil
}
