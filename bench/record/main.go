package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

func main() {
	// Children are pinned, and killed with us, by way of the thread that starts them: it has to stay.
	runtime.LockOSThread()
	var o options
	flag.StringVar(&o.redlane, "redlane", "bin/redlane", "the program to measure")
	flag.BoolVar(&o.quick, "quick", false, "a first impression in a few minutes")
	flag.BoolVar(&o.write, "write", false, "keep the report and the result in bench/record")
	flag.StringVar(&o.only, "only", "", "parts to measure, with commas between: "+strings.Join(parts.Names(), ", "))
	flag.StringVar(&o.child, "child", "", "be a program that a part starts on a core of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if o.child != "" {
		run = beChild
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench record:", err)
		os.Exit(1)
	}
}

type options struct {
	redlane      string
	quick, write bool
	only, child  string
}

// A bench is one run of the program. Parts measure with it and put their figures into it.
type bench struct {
	*lab.Lab
	*lab.Report
	options
	rounds int // of comparisons
	done   map[string]bool
}

// most is when a run gives up.
const most = 40 * time.Minute

func measure(ctx context.Context, o options) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("needs two cores: one for what is measured, one for everything else")
	}
	chosen, err := parts.Choose(o.only)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not finished after %s", most))
	defer cancel()
	b := &bench{options: o, done: map[string]bool{}, rounds: 5}
	c := lab.Config{Redlane: o.redlane, Body: bodyBytes, Warm: 700 * time.Millisecond, Load: 3 * time.Second, Again: 25 * time.Second}
	if o.quick {
		b.rounds = 3
		c.Warm, c.Load, c.Again = 200*time.Millisecond, 700*time.Millisecond, 4*time.Second
	}
	if b.Lab, err = lab.New(ctx, c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	b.Report = lab.NewReport()
	b.Note("redlane (engine %s), nginx %s, wrk %s, %s", b.Driver, lab.Version(b.Nginx, "-v"), lab.Version("wrk", "-v"), runtime.Version())
	b.Note("%s", lab.MachineName())
	for _, p := range chosen {
		if err := p.Measure(ctx, b, b.Report, b.done); err != nil {
			return err
		}
	}
	keep := ""
	if o.write && o.only == "" {
		keep = filepath.Join("bench", "record")
	}
	return b.Finish(nil, b.Trust(), keep)
}
