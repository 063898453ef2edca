package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/redlane/redlane/traffic/traffictest"
)

var _ = parts.Add("tape", []string{"spool_write_per_s", "tape_write_per_s", "tape_read_per_s"}, (*bench).tape)

// tape is how many exchanges of 1.3 KB a core brings onto a tape and back: encoding, compression, checksum,
// write(2) and group commit; ReadAt, checksum, decompression, ordering and decoding. Each in a process of its own
// on a core of its own. The figure is exchanges by second of CPU time, which neighbours disturb least.
func (b *bench) tape(ctx context.Context) error {
	for _, one := range []struct{ key, child string }{{"spool_write_per_s", "spool"}, {"tape_write_per_s", "write"}, {"tape_read_per_s", "read"}} {
		var rates []float64
		var last speed
		for range b.rounds {
			if err := b.runChild(ctx, one.child, &last); err != nil {
				return err
			}
			rates = append(rates, float64(last.Exchanges)/last.CPU.Seconds())
		}
		s := lab.SpreadOf(rates, nil)
		b.Note("%s: %.0f [%.0f..%.0f]/s of CPU time, %.0f/s of wall time, %.1f bytes an exchange, %.4f allocations an exchange",
			one.child, s.Median, s.Least, s.Most, float64(last.Exchanges)/last.Wall.Seconds(), float64(last.Bytes)/float64(last.Exchanges), float64(last.Mallocs)/float64(last.Exchanges))
		b.figure(one.key, s)
	}
	return nil
}

// A speed is what a child measured.
type speed struct {
	Exchanges      int
	CPU, Wall      time.Duration
	Bytes, Mallocs int64
}

// runChild runs this program again as a child alone on a core, and reads the JSON that it prints.
func (b *bench) runChild(ctx context.Context, name string, result any, env ...string) error {
	dir, err := b.NewDir(name)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env = append(env, "GOMAXPROCS=1", childDir+"="+dir)
	p, err := b.Start(lab.CoreOfProxy, env, self, "-child", name, "-quick="+strconv.FormatBool(b.quick))
	if err != nil {
		return err
	}
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), b.Stop(p))
	}
	if err := b.Stop(p); err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(p.Stdout.String()))).Decode(result); err != nil {
		return fmt.Errorf("child %s: %w: %s", name, err, p.LastLine())
	}
	return nil
}

// childDir names the variable with the directory that a child may fill.
const childDir = "REDLANE_BENCH_DIR"

var (
	_ = registerChild("spool", func(_ context.Context, o options) error { return writes(o, tape.S2) })
	_ = registerChild("write", func(_ context.Context, o options) error { return writes(o, tape.Zstd) })
	_ = registerChild("read", reads)
)

func exchanges(o options) (xs []traffic.Exchange, n int) {
	n = 300_000
	if o.quick {
		n = 100_000
	}
	return traffictest.Rich(chance.Stream(1, "bench", 0), 4000), n // warm in the caches, as what has just passed a proxy is
}

// fill writes n exchanges to a new tape and returns its directory.
func fill(codec tape.Codec, xs []traffic.Exchange, n int) (string, error) {
	dir := filepath.Join(os.Getenv(childDir), "tape")
	w, err := tape.Create(dir, tape.Config{Codec: codec})
	if err != nil {
		return "", err
	}
	span := xs[len(xs)-1].Start - xs[0].Start
	for i := range n {
		x := &xs[i%len(xs)]
		if err := w.Append(x); err != nil {
			return "", err
		}
		x.Start += span // the next time round comes later
	}
	return dir, w.Close()
}

func writes(o options, codec tape.Codec) error {
	xs, n := exchanges(o)
	var dir string
	s, err := costOf(n, func() (err error) { dir, err = fill(codec, xs, n); return err })
	if err != nil {
		return err
	}
	if s.Bytes, err = segmentBytes(dir); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

func reads(ctx context.Context, o options) error {
	xs, n := exchanges(o)
	dir, err := fill(tape.Zstd, xs, n)
	if err != nil {
		return err
	}
	s, err := costOf(n, func() error {
		r, err := tape.Open(dir)
		if err != nil {
			return err
		}
		defer r.Close()
		var x traffic.Exchange
		for range n {
			if err := r.Next(ctx, &x); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.Bytes, err = segmentBytes(dir); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// costOf runs f and says what it took.
func costOf(n int, f func() error) (s speed, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, err := lab.OwnCPU()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return s, err
	}
	s.Wall = time.Since(began)
	used, err := lab.OwnCPU()
	runtime.ReadMemStats(&after)
	s.Exchanges, s.CPU, s.Mallocs = n, used-cpu, int64(after.Mallocs-before.Mallocs)
	return s, err
}

// segmentBytes is the size of a tape's segments.
func segmentBytes(dir string) (n int64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.tape"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		var st syscall.Stat_t
		if err := syscall.Stat(name, &st); err != nil {
			return 0, err
		}
		n += st.Size
	}
	return n, nil
}
