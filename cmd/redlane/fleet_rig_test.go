package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/replayer/fleet"
	"github.com/redlane/redlane/traffic"
)

// busd is a bus in a process of its own, for tests that kill it: its URL on the first line.
func busd() {
	s, err := bus.Serve(bus.ServerConfig{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	select {}
}

// A fleetRig is what the proofs of the fleet share: a recording and a target that counts.
type fleetRig struct {
	t    *testing.T
	n    int
	tape string
	dir  string
	to   string
	last atomic.Int64 // when the latest request came

	mu   sync.Mutex
	came map[string]int
}

// newFleetRig records n requests, one a millisecond, in 200 sessions. listen makes the target's listener.
func newFleetRig(t *testing.T, n int, listen func() net.Listener) *fleetRig {
	r := &fleetRig{t: t, n: n, dir: t.TempDir(), came: make(map[string]int)}
	r.tape = filepath.Join(r.dir, "tape")
	w, err := tape.Create(r.tape, tape.Config{})
	require.NoError(t, err)
	for i := range n {
		session := uint64(i % 200)
		require.NoError(t, w.Append(&traffic.Exchange{
			ID: uint64(i + 1), Session: session, Seq: uint64(i / 200), Start: int64(i+1) * int64(time.Millisecond), Latency: time.Millisecond, Weight: 1,
			Request: traffic.Message{
				Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", i), Minor: 1,
				Headers: []traffic.Header{{Name: []byte("Host"), Value: []byte("shop.example")}},
			},
			Response: traffic.Message{Status: 200},
		}))
	}
	require.NoError(t, w.Close())
	ln := listen()
	r.to = ln.Addr().String()
	server := &http.Server{Handler: r}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // ends when closed
	}()
	t.Cleanup(func() { server.Close(); <-served })
	return r
}

func loopback(t *testing.T) func() net.Listener {
	return func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return ln
	}
}

func (r *fleetRig) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	r.last.Store(time.Now().UnixNano())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came[req.URL.Path]++
}

// seen is how many requests came. None came twice.
func (r *fleetRig) seen() int {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, n := range r.came {
		require.Equal(r.t, 1, n, path)
	}
	return len(r.came)
}

// A proc is a program under test.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *lines
	done chan struct{}
}

// start runs redlane in a process of its own.
func (r *fleetRig) start(args ...string) *proc { return startProc(r.t, "redlane", args...) }

func startProc(t *testing.T, program string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(program, args...), out: new(lines), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its exit code is looked at where it matters
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s: %s", strings.Join(p.cmd.Args, " "), p.out)
		}
	})
	return p
}

// kill is kill -9.
func (p *proc) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ends waits for the process and returns its exit code.
func (p *proc) ends(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		require.Fail(p.t, "it does not end", "%s\n%s", p.cmd.Args, p.out)
	}
	return p.cmd.ProcessState.ExitCode()
}

// sent waits until the target has seen n requests.
func (r *fleetRig) sent(n int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.came) >= n
	}, 30*time.Second, 5*time.Millisecond)
}

func (r *fleetRig) results() string { return filepath.Join(r.dir, "results.json") }

func (r *fleetRig) report() *fleet.Report {
	r.t.Helper()
	data, err := os.ReadFile(r.results())
	require.NoError(r.t, err)
	rep := new(fleet.Report)
	require.NoError(r.t, json.Unmarshal(data, rep))
	return rep
}

// requireExact asserts that the books of a whole run are exact: every exchange once in the ledger, nothing sent
// twice, and what came at the target between what was certainly and what was possibly sent.
func (r *fleetRig) requireExact(rep *fleet.Report) {
	t := r.t
	t.Helper()
	require.NoError(t, rep.Ledger.Balance())
	require.EqualValues(t, r.n, rep.Ledger.Accepted)
	require.EqualValues(t, r.n, rep.Exchanges)
	came := r.seen()
	require.GreaterOrEqual(t, came, int(rep.Ledger.Passed))
	require.LessOrEqual(t, came, int(rep.Sent+rep.Unknown))
}

// silent asserts that nothing comes any more from a second after a moment on.
func (r *fleetRig) silent(since time.Time) {
	r.t.Helper()
	time.Sleep(time.Until(since.Add(2 * time.Second)))
	last := time.Unix(0, r.last.Load())
	require.Less(r.t, last.Sub(since), time.Second, "requests came for so long after")
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		require.NoError(t, err)
		for word := range strings.FieldsSeq(string(text)) {
			var pid int
			_, err := fmt.Sscan(word, &pid)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}
