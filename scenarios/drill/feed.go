package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/selection"
	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

// A feed is the replay into one lane.
type feed struct {
	lane traffic.Color
	done chan struct{} // closed once it has ended; then the rest is there

	result *replayer.Result
	err    error
}

// headStart is how long after the drill decides to feed the first request is due: both replays must have read ahead.
const headStart = 1500 * time.Millisecond

// readAhead is how much of the recording a replay may hold, in bytes. The recording is repeated until the drill is over, so
// that what was read ahead then is in the ledger as interrupted: little, but enough for requests that a fault keeps.
const readAhead = 16 << 20

// replay is the configuration for one lane, but for what only one run of it knows.
func (r *run) replay(lane traffic.Color) replayer.Config {
	return replayer.Config{
		To: r.drill.To, Lane: lane, Service: r.drill.Service, Seed: r.drill.Seed, Timeout: r.drill.Timeout, LagLimit: r.drill.LagLimit,
		TicketKeys: r.opt.TicketKeys, UnsafeTarget: r.opt.Unsafe, StrictLane: !r.opt.Unsafe, Workers: max(1, r.opt.Loops),
		RunID: fmt.Sprintf("drill-%s-%s", r.began.UTC().Format("20060102T150405"), lane), Window: readAhead,
	}
}

// feed starts both replays with the same start, seed and requests, again from the beginning when the recording is
// over. stop ends them and waits; it may be called twice.
func (r *run) feed(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	r.feedZero = r.clock.Now().Add(headStart)
	r.spans.end = 1<<63 - 1
	r.audit("feeding lanes %s and %s with %s at %s", r.drill.Lane, r.drill.Control, r.drill.Tape, r.drill.Rate)
	r.feeds = []*feed{{lane: r.drill.Lane, done: make(chan struct{})}, {lane: r.drill.Control, done: make(chan struct{})}}
	for i, f := range r.feeds {
		cfg := r.replay(f.lane)
		cfg.Start, cfg.Stream = r.feedZero, []*arm{r.faulted, r.control}[i]
		go func() {
			defer close(f.done)
			f.result, f.err = send(ctx, cfg, r.drill.Tape, r.drill.Rate)
			if f.err != nil {
				cancel() // one lane alone compares with nothing
			}
		}()
	}
	return sync.OnceFunc(func() {
		if end := r.since(); end < r.spans.end {
			r.spans.end = end
		}
		cancel()
		for _, f := range r.feeds {
			<-f.done
		}
	})
}

func send(ctx context.Context, cfg replayer.Config, tape string, rate shape.Spec) (*replayer.Result, error) {
	choice := &selection.Selection{Repeat: selection.Forever, Seed: cfg.Seed}
	src, along, err := choice.Plan(ctx, rate, tape, opener(cfg.Service))
	if err != nil {
		return nil, err
	}
	defer src.Close()
	cfg.Shape = along
	result, err := replayer.Run(ctx, cfg, src)
	if err == nil && result.Stopped != "" {
		err = errors.New(result.Stopped)
	}
	return result, err
}

// feedFailed is why a lane was not fed to the end, as far as that is known.
func (r *run) feedFailed() error {
	for _, f := range r.feeds {
		select {
		case <-f.done:
		default:
			continue
		}
		if f.err != nil && !errors.Is(f.err, context.Canceled) {
			return fmt.Errorf("feed lane %s: %w", f.lane, f.err)
		}
	}
	return nil
}
