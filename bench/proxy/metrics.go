package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// allocations is how many objects redlane allocates for each request in steady state, by Go's own count:
// between two looks while wrk runs, less what the same look and the same time cost without traffic.
func (b *bench) allocations(ctx context.Context, r *report) (err error) {
	run, err := full.start(ctx, b, coreOfProxy)
	if err != nil {
		return err
	}
	if _, err := b.wrk(ctx, coreOfRest, run.addr, 64, b.warm); err != nil {
		return err
	}
	// A look allocates some thousand objects itself; which over seconds of traffic is 0.01 or 0.02 a request.
	length := max(2*time.Second, b.plan.load)
	idle, err := run.growth(ctx, 0, length)
	if err != nil {
		return err
	}
	type outcome struct {
		growth
		err error
	}
	busy := make(chan outcome, 1)
	go func() {
		g, err := run.growth(ctx, 300*time.Millisecond, length)
		busy <- outcome{g, err}
	}()
	_, err = b.wrk(ctx, coreOfRest, run.addr, 64, length+time.Second)
	got := <-busy
	if err != nil {
		return err
	}
	if got.err != nil {
		return got.err
	}
	if err := b.stop(run.proc); err != nil {
		return err
	}
	if got.requests < 1000 {
		return fmt.Errorf("count allocations: only %.0f requests between two looks", got.requests)
	}
	each := max(0, got.mallocs-idle.mallocs) / got.requests
	r.single("allocs_per_request", each, 0.02, "%.3f allocations per request: %.0f in %.0f requests at 64 connections, %.0f in the same time without any", each, got.mallocs, got.requests, idle.mallocs)
	return nil
}

// A growth is what changed in the metrics of redlane.
type growth struct {
	mallocs, requests float64
}

// growth looks at the metrics after wait, and again after length. The first look of all makes what later ones
// use again, and does not count.
func (r *running) growth(ctx context.Context, wait, length time.Duration) (g growth, err error) {
	for i, pause := range []time.Duration{0, wait, length} {
		if err := r.sleep(ctx, pause); err != nil {
			return g, err
		}
		text, err := get(ctx, "http://"+r.admin+"/metrics")
		if err != nil {
			return g, fmt.Errorf("read metrics: %w", err)
		}
		if i > 0 {
			g.mallocs = sum(text, "go_memstats_mallocs_total") - g.mallocs
			g.requests = sum(text, "redlane_requests_total") - g.requests
		}
	}
	return g, nil
}

// sum adds up all series of a metric in Prometheus' text format.
func sum(text, name string) (total float64) {
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^\n]*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil {
			total += v
		}
	}
	return total
}

var engineInfo = regexp.MustCompile(`(?m)^redlane_engine_info\{[^\n]*driver="([^"]*)"[^\n]*\} 1$`)

// findDriver asks redlane which engine is at work, which need not be the one asked for: io_uring falls back.
func (b *bench) findDriver(ctx context.Context) error {
	run, err := full.start(ctx, b, coreOfProxy)
	if err != nil {
		return err
	}
	text, err := get(ctx, "http://"+run.admin+"/metrics")
	if err := errors.Join(err, b.stop(run.proc)); err != nil {
		return err
	}
	b.driver = driverOf(text)
	if b.engine != "" && b.driver != b.engine {
		fmt.Printf("asked for engine %s, redlane runs %s\n", b.engine, b.driver)
	}
	return nil
}

// driverOf finds the engine in the metrics. A build that does not say has only the first.
func driverOf(metrics string) string {
	if m := engineInfo.FindStringSubmatch(metrics); m != nil {
		return m[1]
	}
	return "goroutine"
}
