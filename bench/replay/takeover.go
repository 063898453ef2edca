package main

import (
	"context"

	"github.com/redlane/redlane/bench/internal/takeover"
)

var _ = parts.Add("takeover", []string{"takeover_ms"}, (*bench).takeover)

// takeover is how long after the last word of a killed worker, one of 64, others have gone on with all its shards.
func (b *bench) takeover(ctx context.Context) error {
	f, err := takeover.Measure(ctx, takeover.Config{Redlane: b.Redlane})
	if err != nil {
		return err
	}
	b.Note("one of 64 workers killed: %s; the target saw %d requests, the books say %d for certain and at most %d more", &f.Ledger, f.Came, f.Sent, f.Unknown)
	b.figure("takeover_ms", []float64{float64(f.Took.Milliseconds())})
	return nil
}
