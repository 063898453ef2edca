package recorder

import (
	"context"
	"time"
)

// whileFull is how long a recorder that may wait does so before it looks for room again.
const whileFull = 200 * time.Microsecond

// await tries once, and where Config.Wait is set until it succeeds or the disk breaks. No lock may be held.
func (r *Recorder) await(try func() bool) bool {
	for !try() {
		if !r.cfg.Wait || r.broken.Load() {
			return false
		}
		for i := range r.shards {
			r.shards[i].flush() // the page wanted may be one that another shard is filling
		}
		_ = r.cfg.Clock.SleepUntil(context.Background(), r.cfg.Clock.Now().Add(whileFull))
	}
	return true
}

// takeLarge reserves a place in the queue for an exchange larger than a page.
func (r *Recorder) takeLarge() bool {
	if r.large.Add(1) > largeQueued {
		r.large.Add(-1)
		return false
	}
	return true
}
