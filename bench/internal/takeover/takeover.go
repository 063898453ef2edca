// Package takeover kills a worker of a real fleet and looks how the others go on.
//
//	redlane replay --workers 64 --spawn ─► 64 processes ─► target in this process, which counts
//	                                          ✗ kill -9 of one
package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/replayer/fleet"
	"github.com/redlane/redlane/traffic"
)

// Config of a measurement. Zero fields take the default named beside them.
type Config struct {
	Redlane string // required; the program
	Workers int    // 0 means 64
	Rate    int    // requests a second of all workers; 0 means 1280
	Seconds int    // 0 means 15
}

// Figures are what came of it.
type Figures struct {
	Took    time.Duration // from the last word of the killed worker until others had gone on with all its shards
	Came    int           // requests that the target has seen, none of them twice
	Sent    uint64        // certainly sent, by the books
	Unknown uint64        // at most so many more, by the killed worker
	Lost    uint64        // in the ledger, because their result died with the worker
	Ledger  traffic.Ledger
	Skew    time.Duration
}

// Measure does it once. An error says what is not exact, or that it could not be measured.
func Measure(ctx context.Context, cfg Config) (Figures, error) {
	if cfg.Workers == 0 {
		cfg.Workers = 64
	}
	if cfg.Rate == 0 {
		cfg.Rate = 1280
	}
	if cfg.Seconds == 0 {
		cfg.Seconds = 15
	}
	dir, err := os.MkdirTemp("", "redlane-takeover-")
	if err != nil {
		return Figures{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // left behind at worst
	n := cfg.Rate * cfg.Seconds
	if err := record(filepath.Join(dir, "tape"), n, cfg.Rate); err != nil {
		return Figures{}, err
	}
	t := &target{came: make(map[string]int), half: make(chan struct{}), at: n * 2 / 5}
	to, stop, err := t.serve()
	if err != nil {
		return Figures{}, err
	}
	defer stop()
	report, err := replayAndKill(ctx, cfg, dir, to, t.half)
	if err != nil {
		return Figures{}, err
	}
	return t.judge(report, n)
}

func record(dir string, n, rate int) error {
	w, err := tape.Create(dir, tape.Config{})
	if err != nil {
		return err
	}
	const sessions = 2048
	for i := range n {
		err := w.Append(&traffic.Exchange{
			ID: uint64(i + 1), Session: uint64(i % sessions), Seq: uint64(i / sessions), Start: int64(i) * int64(time.Second) / int64(rate), Weight: 1,
			Request: traffic.Message{
				Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", i), Minor: 1,
				Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("shop.example")}},
			},
			Response: traffic.Message{Status: 200},
		})
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

func replayAndKill(ctx context.Context, cfg Config, dir, to string, when <-chan struct{}) (*fleet.Report, error) {
	results := filepath.Join(dir, "results.json")
	c := exec.CommandContext(ctx, cfg.Redlane, "replay", filepath.Join(dir, "tape"), "--to", to, "--lane", "bench", "--unsafe-target",
		"--workers", strconv.Itoa(cfg.Workers), "--spawn", "--bus-listen", "127.0.0.1:0", "--worker-wait", "3m",
		"--lag-limit", "1h", "--skew-limit", "1h", "--lost-limit", "0.5", "--results", results)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		return nil, fmt.Errorf("the replay ended before anything could be killed: %w: %s", err, out.String())
	case <-when:
	}
	workers, err := children(c.Process.Pid)
	if err == nil && len(workers) != cfg.Workers {
		err = fmt.Errorf("%d workers are running, want %d", len(workers), cfg.Workers)
	}
	if err == nil {
		err = syscall.Kill(workers[len(workers)/2], syscall.SIGKILL)
	}
	if err != nil {
		_ = c.Process.Kill() // err says more
		<-ended              //nolint:errcheck // the same
		return nil, err
	}
	if err := <-ended; err != nil {
		return nil, fmt.Errorf("replay: %w: %s", err, out.String())
	}
	data, err := os.ReadFile(results)
	if err != nil {
		return nil, err
	}
	report := new(fleet.Report)
	return report, json.Unmarshal(data, report)
}

// children lists the processes that a process has started.
func children(pid int) (pids []int, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			pids = append(pids, child)
		}
	}
	return pids, err
}

// A target counts every request by its name.
type target struct {
	half chan struct{} // closed when at have come
	at   int

	mu   sync.Mutex
	came map[string]int
}

func (t *target) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.came[r.URL.Path]++
	if len(t.came) == t.at && t.came[r.URL.Path] == 1 {
		close(t.half)
	}
}

func (t *target) serve() (addr string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: t}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(ln) // ends when closed
	}()
	return ln.Addr().String(), func() { _ = s.Close(); <-served }, nil
}

// judge compares the books with what came.
func (t *target) judge(r *fleet.Report, n int) (Figures, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := Figures{Came: len(t.came), Sent: r.Sent, Unknown: r.Unknown, Lost: r.Lost, Ledger: r.Ledger, Skew: r.Skew}
	for path, times := range t.came {
		if times != 1 {
			return f, fmt.Errorf("request %s came %d times", path, times)
		}
	}
	switch {
	case r.Ledger.Balance() != nil:
		return f, r.Ledger.Balance()
	case r.Ledger.Accepted != uint64(n) || r.Exchanges != uint64(n):
		return f, fmt.Errorf("%d exchanges were recorded, the ledger has %d and the workers counted %d", n, r.Ledger.Accepted, r.Exchanges)
	case f.Came < int(r.Sent) || f.Came > int(r.Sent+r.Unknown):
		return f, fmt.Errorf("%d requests came, the books say %d and at most %d more", f.Came, r.Sent, r.Unknown)
	case len(r.Takeovers) != 1 || r.Takeovers[0].Took == 0:
		return f, fmt.Errorf("%d takeovers, of which the killed worker's is not over", len(r.Takeovers))
	}
	f.Took = r.Takeovers[0].Took
	return f, nil
}
