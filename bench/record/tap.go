package main

import (
	"context"

	"github.com/redlane/redlane/bench/internal/lab"
)

// bodyBytes of a response make an exchange of 1 KB, with its request and the headers of both.
const bodyBytes = 700

var _ = parts.Add("tap", []string{"tap_us_per_exchange"}, (*bench).tap)

// tap is what recording adds to a request in the whole process of the proxy, which has a core of its own: the
// threads that compress and write the tape are in it.
func (b *bench) tap(ctx context.Context) error {
	c, err := b.Compare(ctx, []lab.Contestant{lab.Full, lab.Record}, 64, lab.TwoCores, b.rounds)
	if err != nil {
		return err
	}
	b.Table("64 connections, responses of 700 bytes, the proxy alone on its core", c, lab.Full.Name)
	loop := c.Pairs(lab.Record.Name, lab.Full.Name, func(a, b lab.Sample) float64 { return a.Each(a.Busiest) - b.Each(b.Busiest) })
	whole := c.Pairs(lab.Record.Name, lab.Full.Name, func(a, b lab.Sample) float64 { return a.PerRequest() - b.PerRequest() })
	b.Note("recording adds, in us per exchange: %s in the busiest thread, %s in the whole process", loop, whole)
	b.figure("tap_us_per_exchange", whole)
	return nil
}
