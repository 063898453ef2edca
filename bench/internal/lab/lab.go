package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Where things run.
var (
	CoreOfRest  = []int{0} // wrk and the backend
	CoreOfProxy = []int{1}
	BothCores   = []int{0, 1}
)

// Config of a Lab. Zero fields mean nothing special, unless a default is named.
type Config struct {
	Redlane    string        // required: the program to measure
	Engine     string        // of redlane; empty is its default
	Body       int           // bytes of every response of the backend; 0 means 200
	Needs      []string      // programs that must be there beside nginx and wrk
	Warm, Load time.Duration // of each sample
	Again      time.Duration // each comparison may spend on taking again what came out dirty
}

// A Lab is one run of a benchmark: its temporary directory, the backend that stands behind every
// contestant, and all that has been started.
type Lab struct {
	Config
	Dir      string // temporary; gone after Close
	began    time.Time
	port     int
	children []*Proc
	Backend  *backend
	Nginx    string
	help     string // of redlane proxy: which flags this build knows
	Driver   string // the engine of redlane, by its own word
	Files    uint64 // how many a process may have open
	numbered int    // configurations written so far

	samples, clean, invalid int
}

// New makes the directory, looks for the programs, starts the backend on the first core and asks redlane for its
// engine. Whoever starts children must have locked its thread: they are killed with it.
func New(ctx context.Context, s Config) (_ *Lab, err error) {
	if s.Body == 0 {
		s.Body = 200
	}
	b := &Lab{Config: s, began: time.Now(), port: os.Getpid()}
	if b.Dir, err = os.MkdirTemp("", "redlane-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.Files, err = raiseFiles(); err != nil {
		return nil, err
	}
	if b.Nginx, err = Look("nginx"); err != nil {
		return nil, err
	}
	for _, name := range append([]string{"wrk"}, s.Needs...) {
		if _, err := Look(name); err != nil {
			return nil, err
		}
	}
	help, err := exec.CommandContext(ctx, s.Redlane, "proxy", "--help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s proxy --help: %w; make build makes it", s.Redlane, err)
	}
	b.help = string(help)
	if s.Engine != "" && !b.Knows("engine") {
		return nil, fmt.Errorf("%s proxy has no --engine: leave DRIVER empty", s.Redlane)
	}
	if b.Backend, err = b.startBackend(ctx); err != nil {
		return nil, err
	}
	return b, b.findDriver(ctx)
}

// Knows says whether this build of redlane has a flag.
func (b *Lab) Knows(flag string) bool { return strings.Contains(b.help, "--"+flag) }

// Close ends what was started and removes the directory.
func (b *Lab) Close() error {
	b.stopAll()
	return os.RemoveAll(b.Dir)
}

// Look finds a program; Debian keeps two of ours where ordinary users do not look.
func Look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w; make deps and scripts/deps.sh install it", name, err)
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
