package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/redlane/redlane/replayer"
)

// A replayed is one run of redlane replay.
type replayed struct {
	replayer.Result
	cpu time.Duration // of the whole process, from its start to its end
}

// perRequest is CPU time in microseconds.
func (r *replayed) perRequest() float64 {
	return float64(r.cpu.Nanoseconds()) / 1e3 / float64(r.Ledger.Passed)
}

// replay runs redlane replay of n requests on the cores given. while, which may be nil, is called meanwhile. That
// every request was answered, once, is a condition of every figure.
func (b *bench) replay(ctx context.Context, cores []int, n int, while func() error, args ...string) (*replayed, error) {
	dir, err := b.tapeOf(n)
	if err != nil {
		return nil, err
	}
	out, err := b.NewDir("replay")
	if err != nil {
		return nil, err
	}
	results := filepath.Join(out, "result.json")
	before, err := b.Backend.Settled(ctx)
	if err != nil {
		return nil, err
	}
	args = append([]string{"replay", dir, "--to", b.Backend.Addr, "--lane", "bench", "--unsafe-target", "--results", results}, args...)
	if b.engine != "" {
		args = append(args, "--engine", b.engine)
	}
	p, err := b.Start(cores, nil, b.Redlane, args...)
	if err != nil {
		return nil, err
	}
	if while != nil {
		if err := while(); err != nil {
			return nil, errors.Join(err, b.Stop(p))
		}
	}
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), b.Stop(p))
	}
	r := &replayed{cpu: p.Cmd.ProcessState.UserTime() + p.Cmd.ProcessState.SystemTime()}
	// An invalid run (5) has its result too: the figures say what was wrong with it.
	if err := b.Stop(p); err != nil && p.Cmd.ProcessState.ExitCode() != 5 {
		return nil, err
	}
	text, err := os.ReadFile(results)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, p.LastLine())
	}
	if err := json.Unmarshal(text, &r.Result); err != nil {
		return nil, err
	}
	after, err := b.Backend.Settled(ctx)
	if err != nil {
		return nil, err
	}
	if got := after - before; got != int64(n) || r.Ledger.Passed != uint64(n) {
		return nil, fmt.Errorf("%d requests on the tape, %d answered by the ledger, %d by the backend's count", n, r.Ledger.Passed, got)
	}
	return r, nil
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
