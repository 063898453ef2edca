package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("closed", []string{"ratio_wrk_c64", "ratio_vegeta"}, (*bench).closed)

// closed compares CPU per request of whole processes, each alone on its core and in turn, as fast as answers
// come on 64 connections: redlane reading a tape, with status, latency and session of each; wrk; vegeta.
func (b *bench) closed(ctx context.Context) error {
	if err := b.Backend.Move(lab.CoreOfRest); err != nil {
		return err
	}
	n := int(150_000 * b.seconds)
	var toWrk, toVegeta []float64
	for round := range b.rounds {
		r, err := b.replay(ctx, lab.CoreOfProxy, n, nil, "--closed", "--in-flight", fmt.Sprint(sessions))
		if err != nil {
			return err
		}
		w, kernel, err := b.wrk(ctx)
		if err != nil {
			return err
		}
		v, err := b.vegeta(ctx, n/6)
		if err != nil {
			return err
		}
		toWrk = append(toWrk, r.perRequest()/w)
		toVegeta = append(toVegeta, r.perRequest()/v)
		b.Note("round %d: redlane %.2f us a request, %.2f of it the kernel's (%.0f/s, latency p50 %s p99 %s), wrk %.2f us, %.2f the kernel's, vegeta %.2f us",
			round+1, r.perRequest(), r.each(r.system), r.Achieved, r.Total.Sent.Quantile(0.5), r.Total.Sent.Quantile(0.99), w, kernel, v)
	}
	b.figure("ratio_wrk_c64", toWrk)
	b.figure("ratio_vegeta", toVegeta)
	return nil
}

// wrk is CPU per request of wrk and of that the kernel's, in microseconds. Its count and the backend's differ by what it
// cuts at its end.
func (b *bench) wrk(ctx context.Context) (each, kernel float64, err error) {
	before, err := b.Backend.Settled(ctx)
	if err != nil {
		return 0, 0, err
	}
	l, err := b.Wrk(ctx, lab.CoreOfProxy, b.Backend.Addr, sessions, time.Duration(b.seconds*float64(time.Second)))
	if err != nil {
		return 0, 0, err
	}
	after, err := b.Backend.Settled(ctx)
	if err != nil {
		return 0, 0, err
	}
	if d := after - before - l.Requests; d < 0 || d > 2*sessions {
		return 0, 0, fmt.Errorf("wrk counts %d requests, the backend %d", l.Requests, after-before)
	}
	return us(l.CPU()) / float64(l.Requests), us(l.Kernel()) / float64(l.Requests), nil
}
