package main

import (
	"context"
	"syscall"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("stall", []string{"stall_p99_ms"}, (*bench).stall)

// stall stops nginx for a second while 2,000 requests a second are due: a quarter of the schedule falls into it,
// so that p99 is most of a second, for whoever does not omit what he could not send.
func (b *bench) stall(ctx context.Context) error {
	const rate = 2000
	if err := b.Backend.Move(lab.CoreOfRest); err != nil {
		return err
	}
	var p99 []float64
	for range min(b.rounds, 2) {
		r, err := b.replay(ctx, lab.CoreOfProxy, 4*rate, func() error {
			if err := b.Backend.Sleep(ctx, 1500*time.Millisecond); err != nil {
				return err
			}
			if err := b.Backend.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			time.Sleep(time.Second)
			return b.Backend.Cmd.Process.Signal(syscall.SIGCONT)
		}, "--rate", "2000/s")
		if err != nil {
			return err
		}
		t := &r.Total
		b.Note("p99 from due %.1f ms, from send %.1f ms; mean from due %.1f ms; %d of %d answered", us(t.Due.Quantile(0.99))/1e3, us(t.Sent.Quantile(0.99))/1e3,
			us(t.Due.Mean())/1e3, r.Ledger.Passed, 4*rate)
		p99 = append(p99, us(t.Due.Quantile(0.99))/1e3)
	}
	b.figure("stall_p99_ms", p99)
	return nil
}
