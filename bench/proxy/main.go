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
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/redlane/redlane/bench/internal/lab"
)

func main() {
	// Children are pinned, and killed with us, by way of the thread that starts them: it has to stay.
	runtime.LockOSThread()
	var o options
	flag.StringVar(&o.redlane, "redlane", "bin/redlane", "the program to measure")
	flag.StringVar(&o.engine, "engine", "", "engine of redlane, such as epoll; empty is its default")
	flag.BoolVar(&o.quick, "quick", false, "a first impression in under three minutes")
	flag.BoolVar(&o.write, "write", false, "keep the table and the result in bench/proxy")
	flag.StringVar(&o.only, "only", "", "parts to measure, with commas between: c1, c8, c64, c512, latency, allocations, idle, busy, loops")
	flag.StringVar(&o.profile, "profile", "", "only take a CPU profile of bare, full or record")
	flag.IntVar(&o.profileConns, "profile-conns", 64, "connections while the profile is taken")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench proxy:", err)
		os.Exit(1)
	}
}

type options struct {
	redlane, engine string
	quick, write    bool
	only, profile   string
	profileConns    int
}

func run(ctx context.Context, o options) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("needs two cores: one for the proxy under test, one for everything else")
	}
	p := planOf(o.quick)
	ctx, cancel := context.WithTimeoutCause(ctx, p.most, fmt.Errorf("not finished after %s", p.most))
	defer cancel()
	b, err := newBench(ctx, o, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if o.profile != "" {
		return b.takeProfile(ctx)
	}
	return b.all(ctx)
}

// A part is one table or figure of the report.
type part struct {
	name string
	run  func(context.Context, *lab.Report) error
}

// parts of the whole measurement, in the order of its report.
func (b *bench) parts() (all []part) {
	for _, conns := range levels {
		all = append(all, part{"c" + strconv.Itoa(conns), func(ctx context.Context, r *lab.Report) error {
			c, err := b.level(ctx, conns)
			if err == nil {
				b.reportLevel(r, c)
			}
			return err
		}})
	}
	return append(all, part{"latency", b.oneCore}, part{"allocations", b.allocations}, part{"idle", b.idleMemory}, part{"busy", b.idleAndBusy}, part{"loops", b.loops})
}

func (b *bench) all(ctx context.Context) error {
	parts := b.parts()
	if b.only != "" {
		named := strings.Split(b.only, ",")
		for _, name := range named {
			if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
				return fmt.Errorf("no part %q: there are c1, c8, c64, c512, latency, allocations, idle, busy and loops", name)
			}
		}
		parts = slices.DeleteFunc(parts, func(p part) bool { return !slices.Contains(named, p.name) })
	}
	r := lab.NewReport()
	b.title(r)
	for _, p := range parts {
		if err := b.Backend.Move(lab.CoreOfRest); err != nil {
			return err
		}
		if err := p.run(ctx, r); err != nil {
			return err
		}
	}
	keep := ""
	if b.write && b.only == "" {
		keep = filepath.Join("bench", "proxy")
	}
	return r.Finish(map[string]any{"driver": b.Driver}, b.Trust(), keep)
}

// title says what is measured, and how long.
func (b *bench) title(r *lab.Report) {
	r.Note("redlane (engine %s), HAProxy %s, nginx %s, wrk %s, %s", b.Driver, lab.Version("haproxy", "-v"), lab.Version(b.Nginx, "-v"), lab.Version("wrk", "-v"), runtime.Version())
	r.Note("%s; %s: %d rounds of %s at each level, after %s of warming up", lab.MachineName(), b.name, b.rounds, b.Config.Load, b.Config.Warm)
}
