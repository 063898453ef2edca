// Command replay measures how well the replayer keeps a schedule: the rate asked for, the rate achieved,
// and how late requests were sent.
//
//	recording made in memory: 1,000 requests a second ─► replayer ─► nginx (or net/http) on loopback
//
// It exits with 1 when a rate is missed by more than 1 %, or a run is invalid.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
)

func main() {
	seconds := flag.Int("seconds", 10, "how long each run lasts")
	sessions := flag.Int("sessions", 64, "sessions in the recording, each a connection")
	rates := flag.String("rates", "1x,10x", "rates to measure, of a recording of 1000/s; \"max\" is as fast as answers come")
	to := flag.String("to", "auto", "host:port of a target, or auto, nginx, nethttp to start one")
	workers := flag.Int("workers", 0, "loops that send; 0 means one per core")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *seconds, *sessions, *workers, *rates, *to); err != nil {
		fmt.Fprintln(os.Stderr, "bench replay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, seconds, sessions, workers int, rates, to string) (err error) {
	addr, name, closeTarget, err := target(to)
	if err != nil {
		return err
	}
	defer closeTarget()
	cores := runtime.GOMAXPROCS(0)
	if workers == 0 {
		workers = cores
	}
	runtime.GOMAXPROCS(workers + 1) // the pacer waits on a thread, and must not wait for a P
	fmt.Printf("target %s, %d s, %d sessions, %d workers, %d cores\n", name, seconds, sessions, workers, cores)

	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "rate\tasked/s\tachieved/s\toff\tlag p50\tlag p99\town p99\tlatency p50\tp99\tCPU/request\tconns\tfailed\t")
	missed := 0
	for word := range strings.SplitSeq(rates, ",") {
		ok, err := measure(ctx, w, word, addr, seconds, sessions, workers)
		if err != nil {
			return err
		}
		if !ok {
			missed++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed > 0 {
		return fmt.Errorf("%d rates were missed by more than 1 %%, or their run was invalid", missed)
	}
	return nil
}

// measure does one run and prints its line.
func measure(ctx context.Context, w *tabwriter.Writer, word, addr string, seconds, sessions, workers int) (ok bool, err error) {
	cfg := replayer.Config{To: addr, Lane: "bench", Workers: workers, Window: 64 << 20, Grace: 5 * time.Second}
	n := math.MaxInt
	if word == "max" { // every session always has a next request waiting
		cfg.Rate = conf.Rate{PerSecond: 1e6}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
	} else {
		if err := cfg.Rate.UnmarshalText([]byte(word)); err != nil {
			return false, err
		}
		perSecond := cfg.Rate.PerSecond
		if cfg.Rate.Times > 0 {
			perSecond = recordedRate * cfg.Rate.Times
		}
		n = int(perSecond * float64(seconds))
	}
	before := cpu()
	res, err := replayer.Run(ctx, cfg, newRecording(n, sessions))
	if err != nil {
		return false, err
	}
	used := cpu() - before
	off := res.Achieved/res.Asked - 1
	us := func(d time.Duration) string { return d.Round(time.Microsecond).String() }
	fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%+.2f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t\n", word, res.Asked, res.Achieved, 100*off,
		us(res.Total.Lag.Quantile(0.5)), us(res.Total.Lag.Quantile(0.99)), us(res.Pace.Quantile(0.99)),
		us(res.Total.Due.Quantile(0.5)), us(res.Total.Due.Quantile(0.99)),
		(used / time.Duration(max(res.Total.Count, 1))).Round(10*time.Nanosecond), res.Connections, res.Total.Errors.Sum())
	if word == "max" {
		return res.Total.Errors.Sum() == 0, res.Ledger.Balance()
	}
	return math.Abs(off) <= 0.01 && res.Valid() == nil, nil
}

// cpu is the time this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
