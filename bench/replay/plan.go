package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("plan", []string{"plan_per_s"}, (*bench).plan)

// plan is how many requests a core reads from a tape and makes ready to send, by second of CPU time: redlane
// replay --dry-run, which does all that a replay does but sending.
func (b *bench) plan(ctx context.Context) error {
	n := int(300_000 * b.seconds)
	dir, err := b.tapeOf(n)
	if err != nil {
		return err
	}
	var rates []float64
	for range b.rounds {
		learn, err := b.planOnce(ctx, dir, n, "on")
		if err != nil {
			return err
		}
		rate, err := b.planOnce(ctx, dir, n, "off")
		if err != nil {
			return err
		}
		b.Note("%d requests: %.0f/s; %.0f/s when recorded answers are read too, for their ids (--learn)", n, rate, learn)
		rates = append(rates, rate)
	}
	b.figure("plan_per_s", rates)
	return nil
}

// planOnce is requests by second of CPU time.
func (b *bench) planOnce(ctx context.Context, dir string, n int, learn string) (perSecond float64, err error) {
	p, err := b.Start(lab.CoreOfProxy, nil, b.Redlane, "replay", dir, "--to", b.Backend.Addr, "--lane", "bench", "--rate", "100000/s", "--learn", learn, "--dry-run")
	if err != nil {
		return 0, err
	}
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return 0, errors.Join(context.Cause(ctx), b.Stop(p))
	}
	cpu := p.Cmd.ProcessState.UserTime() + p.Cmd.ProcessState.SystemTime()
	if err := b.Stop(p); err != nil {
		return 0, err
	}
	if want := fmt.Sprintf("would send %d requests", n); !strings.Contains(p.Stdout.String(), want) {
		return 0, fmt.Errorf("redlane replay --dry-run does not say %q: %q", want, p.Stdout.String())
	}
	return float64(n) / cpu.Seconds(), nil
}
