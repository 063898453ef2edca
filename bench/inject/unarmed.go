package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/traffic"
)

var _ = parts.Add("unarmed", []string{"unarmed_ns"}, (*bench).unarmed)

// unarmed is what all three filters of fault injection take of a request while nothing is armed, both halves. Two
// proxies, with and without them, differ by less than two runs of the same one.
func (b *bench) unarmed(context.Context) error {
	table := injector.NewTable(injector.Config{})
	guards := guard.NewSet(guard.Config{Trip: table.Trip})
	chain := []traffic.Filter{guards.Seen(), guards.UnderWay(), table.Filter()}
	x := &traffic.Exchange{Src: "gateway", Dst: "packet", Color: "red"}
	x.Response.Status = 200
	const n = 5_000_000
	var took []float64
	for range b.rounds {
		began, err := threadTime()
		if err != nil {
			return err
		}
		for range n {
			for _, f := range chain {
				f.Request(x)
			}
			for i := len(chain) - 1; i >= 0; i-- {
				chain[i].Response(x)
			}
		}
		ended, err := threadTime()
		if err != nil {
			return err
		}
		took = append(took, float64(ended-began)/n)
	}
	b.Note("%d filters, %d requests a round: %.2f ns each", len(chain), n, took)
	b.figure("unarmed_ns", took)
	return nil
}

// threadTime is the CPU time of this thread, which the parts have for themselves: others on the machine cost it nothing.
func threadTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("get CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
