package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/replayer"
)

// A replayed is one run of redlane replay.
type replayed struct {
	replayer.Result
	cpu, system time.Duration // of the whole process, from its start to its end; and of that, in the kernel
	target      time.Duration // CPU of the target meanwhile
	busy        float64       // share of all cores that anybody used meanwhile
}

// perRequest is CPU time in microseconds.
func (r *replayed) perRequest() float64 { return r.each(r.cpu) }

func (r *replayed) each(d time.Duration) float64 { return us(d) / float64(r.Ledger.Passed) }

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
	target, err := lab.UsageOf(b.Backend.Cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	busy, err := lab.Busy()
	if err != nil {
		return nil, err
	}
	began := time.Now()
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
	r := &replayed{system: p.Cmd.ProcessState.SystemTime()}
	r.cpu = p.Cmd.ProcessState.UserTime() + r.system
	took := time.Since(began)
	busyNow, err := lab.Busy()
	if err != nil {
		return nil, err
	}
	targetNow, err := lab.UsageOf(b.Backend.Cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	r.target = targetNow.Since(target).Total
	r.busy = (busyNow - busy).Seconds() / took.Seconds() / float64(runtime.NumCPU())
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
