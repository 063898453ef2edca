package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Where things run.
var (
	coreOfRest  = []int{0} // wrk and the backend
	coreOfProxy = []int{1}
	bothCores   = []int{0, 1}
)

// A bench is one run of the program: its plan, its temporary directory, the backend that stands behind
// every contestant, and all that has been started.
type bench struct {
	options
	plan
	began    time.Time
	dir      string
	port     int
	children []*proc
	backend  *backend
	nginx    string
	help     string // of redlane proxy: which flags this build knows
	driver   string // the engine of redlane, by its own word
	files    uint64 // how many a process may have open
	numbered int    // configurations written so far

	samples, clean, invalid int
}

func newBench(ctx context.Context, o options, p plan) (_ *bench, err error) {
	b := &bench{options: o, plan: p, began: time.Now(), port: os.Getpid()}
	if b.dir, err = os.MkdirTemp("", "redlane-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.files, err = raiseFiles(); err != nil {
		return nil, err
	}
	if b.nginx, err = look("nginx"); err != nil {
		return nil, err
	}
	for _, name := range []string{"haproxy", "wrk"} {
		if _, err := look(name); err != nil {
			return nil, err
		}
	}
	help, err := exec.CommandContext(ctx, o.redlane, "proxy", "--help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s proxy --help: %w; make build makes it", o.redlane, err)
	}
	b.help = string(help)
	if o.engine != "" && !b.knows("engine") {
		return nil, fmt.Errorf("%s proxy has no --engine: leave DRIVER empty", o.redlane)
	}
	if b.backend, err = b.startBackend(ctx); err != nil {
		return nil, err
	}
	return b, b.findDriver(ctx)
}

func (b *bench) close() error {
	b.stopAll()
	return os.RemoveAll(b.dir)
}

// look finds a program; Debian keeps two of ours where ordinary users do not look.
func look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w; make bench-proxy installs it", name, err)
}

// raiseFiles lets this process and its children open as many files as they may. Go raises the limit for
// itself and gives children the old one, unless it is set by hand.
func raiseFiles() (uint64, error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("get limit of open files: %w", err)
	}
	r.Cur = r.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("raise limit of open files: %w", err)
	}
	return r.Max, nil
}
