package main

import (
	"context"
	"fmt"
	"math"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("open", []string{"open_loop_achieved_per_s", "open_loop_lag_p99_us"}, (*bench).open)

// open keeps 100,000 requests a second due on two cores, which nginx has to share.
func (b *bench) open(ctx context.Context) error {
	const rate = 100_000
	if err := b.Backend.Move(lab.BothCores); err != nil {
		return err
	}
	var achieved, lag []float64
	for range b.rounds {
		r, err := b.atRate(ctx, rate, int(rate*b.seconds))
		if err != nil {
			return err
		}
		achieved = append(achieved, r.Achieved)
		lag = append(lag, us(r.Total.Lag.Quantile(0.99)))
	}
	b.figure("open_loop_achieved_per_s", achieved)
	b.figure("open_loop_lag_p99_us", lag)
	return nil
}

var _ = parts.Add("rates", []string{"rate_5k_error_pct", "rate_20k_error_pct", "lag_20k_p50_us", "lag_20k_p99_us"}, (*bench).rates)

// rates keeps two lower rates, at which every request is a wake-up of its own.
func (b *bench) rates(ctx context.Context) error {
	if err := b.Backend.Move(lab.BothCores); err != nil {
		return err
	}
	var off5, off20, p50, p99 []float64
	for range b.rounds {
		r, err := b.atRate(ctx, 5000, int(5000*b.seconds))
		if err != nil {
			return err
		}
		off5 = append(off5, 100*math.Abs(r.Achieved/5000-1))
		if r, err = b.atRate(ctx, 20_000, int(20_000*b.seconds)); err != nil {
			return err
		}
		off20 = append(off20, 100*math.Abs(r.Achieved/20_000-1))
		p50 = append(p50, us(r.Total.Lag.Quantile(0.5)))
		p99 = append(p99, us(r.Total.Lag.Quantile(0.99)))
	}
	b.figure("rate_5k_error_pct", off5)
	b.figure("rate_20k_error_pct", off20)
	b.figure("lag_20k_p50_us", p50)
	b.figure("lag_20k_p99_us", p99)
	return nil
}

// atRate replays n requests at a rate, on both cores, and prints how it went.
func (b *bench) atRate(ctx context.Context, rate, n int) (*replayed, error) {
	r, err := b.replay(ctx, lab.BothCores, n, nil, "--rate", fmt.Sprintf("%d/s", rate), "--lag-limit", "1s")
	if err == nil {
		t := &r.Total
		b.Note("%d/s: achieved %.1f/s (%+.3f%%), lag p50 %.0f us, p99 %.0f us, own part p99 %.0f us, latency from due p50 %.0f us, p99 %.0f us; CPU a request %.2f us, of the target %.2f us, both cores %.0f %% busy",
			rate, r.Achieved, 100*(r.Achieved/float64(rate)-1), us(t.Lag.Quantile(0.5)), us(t.Lag.Quantile(0.99)), us(r.Pace.Quantile(0.99)),
			us(t.Due.Quantile(0.5)), us(t.Due.Quantile(0.99)), r.perRequest(), r.each(r.target), 100*r.busy)
	}
	return r, err
}
