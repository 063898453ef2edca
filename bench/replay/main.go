package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
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
	flag.StringVar(&o.engine, "engine", "", "engine of redlane, such as epoll; empty is its default")
	flag.BoolVar(&o.quick, "quick", false, "a first impression in under three minutes")
	flag.BoolVar(&o.write, "write", false, "keep the report and the result in bench/replay")
	flag.StringVar(&o.only, "only", "", "parts to measure, with commas between: "+strings.Join(parts.Names(), ", "))
	flag.StringVar(&o.child, "child", "", "be a program that a part starts on a core of its own")
	flag.StringVar(&o.addr, "addr", "", "of a child: the backend")
	flag.IntVar(&o.n, "n", 0, "of a child: requests")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if o.child != "" {
		run = beChild
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench replay:", err)
		os.Exit(1)
	}
}

type options struct {
	redlane, engine   string
	quick, write      bool
	only, child, addr string
	n                 int
}

// A bench is one run of the program. Parts measure with it and put their figures into it.
type bench struct {
	*lab.Lab
	*lab.Report
	options
	rounds  int
	seconds float64 // of one load
	tapes   map[int]string
	done    map[string]bool
}

// most is when a run gives up.
const most = 20 * time.Minute

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
	b := &bench{options: o, rounds: 5, seconds: 4, tapes: map[int]string{}, done: map[string]bool{}}
	if o.quick {
		b.rounds, b.seconds = 3, 1.5
	}
	c := lab.Config{Redlane: o.redlane, Warm: 300 * time.Millisecond, Load: time.Duration(b.seconds * float64(time.Second))}
	if b.Lab, err = lab.New(ctx, c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	b.Report = lab.NewReport()
	b.Note("redlane (engine %s), nginx %s, wrk %s, vegeta library %s, %s", b.engineName(), lab.Version(b.Nginx, "-v"), lab.Version("wrk", "-v"), vegetaVersion(), runtime.Version())
	b.Note("%s; %d rounds of %.1f s", lab.MachineName(), b.rounds, b.seconds)
	for _, p := range chosen {
		if err := p.Measure(ctx, b, b.Report, b.done); err != nil {
			return err
		}
	}
	keep := ""
	if o.only == "" {
		for _, key := range slices.Sorted(maps.Keys(goals)) {
			if !b.done[key] {
				b.Leave(key, "no part measures it here")
			}
		}
		if o.write {
			keep = filepath.Join("bench", "replay")
		}
	}
	return b.Finish(map[string]any{"engine": b.engineName()}, "every run: the backend counted what the driver counted", keep)
}

// engineName is what replays run on: the same choice that the proxy made.
func (b *bench) engineName() string {
	if b.engine != "" {
		return b.engine
	}
	return b.Driver
}
