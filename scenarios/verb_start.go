package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// start runs a process beside the scenario: a service under test, or a client that makes live traffic.
//
//	start: {command: [redlane, redpacket, gateway, --listen, 127.0.0.1:9100], ready: http://127.0.0.1:9100/healthz}
//
// The step ends when ready answers 200, or at once without it. The process lives until the run ends; with
// for it must end by itself within that time, and the step ends with it. The word redlane names the
// program that is running.
type start struct {
	Command []string      `yaml:"command"` // required; no shell looks at it
	Ready   string        `yaml:"ready"`   // URL that answers 200 once the process serves
	Within  time.Duration `yaml:"within"`  // time to get ready; 0 means 10s
}

var _ = register("start", func() verb { return new(start) })

func (v *start) check(_ *Scenario, st *Step) error {
	if len(v.Command) == 0 || v.Command[0] == "" {
		return st.Errorf("start: command is missing")
	}
	if v.Command[0] != "redlane" {
		if _, err := exec.LookPath(v.Command[0]); err != nil {
			return st.Errorf("start: no program %q", v.Command[0])
		}
	}
	if v.Ready != "" {
		if u, err := url.Parse(v.Ready); err != nil || u.Scheme != "http" || u.Host == "" {
			return st.Errorf("start: ready: want a URL such as http://127.0.0.1:9100/healthz, found %q", v.Ready)
		}
		if st.For > 0 {
			return st.Errorf("start: ready is for a process that stays, for is for one that ends; give one of them")
		}
	}
	if v.Within < 0 {
		return st.Errorf("start: within: %s is negative", v.Within)
	}
	return nil
}

func (v *start) run(ctx context.Context, r *run, st *Step) error {
	p, err := startProcess(r, st.Name, v.Command)
	if err != nil {
		return err
	}
	switch {
	case st.For > 0:
		return p.waitFor(ctx, r, st.For)
	case v.Ready != "":
		return p.waitReady(ctx, r, v.Ready, v.Within)
	}
	return nil
}

// A process is a child of the run, in a process group of its own so that its children end with it.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // how, valid after done
}

func startProcess(r *run, name string, command []string) (*process, error) {
	program, err := os.Executable()
	if command[0] != "redlane" {
		program, err = exec.LookPath(command[0])
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	logPath := filepath.Join(r.out, "logs", fileName(name)+".log")
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	p := &process{cmd: exec.Command(program, command[1:]...), log: logPath, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Pdeathsig: even a killed run leaves no service behind. The kernel sends it when the thread that
	// started the child ends, so that thread stays for as long as the child.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	r.wait.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.addProcess(p)
	return p, nil
}

// waitReady polls url until it answers 200, the process ends, or the time is over (0 means 10 s).
func (p *process) waitReady(ctx context.Context, r *run, url string, within time.Duration) error {
	if within == 0 {
		within = 10 * time.Second
	}
	deadline := r.clock.Now().Add(within)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended before it was ready (%w); its output is in %s", exitCause(p.err), p.log)
		default:
		}
		if r.clock.Now().After(deadline) {
			return fmt.Errorf("%s did not answer 200 within %s; output in %s", url, within, p.log)
		}
		if err := r.clock.SleepUntil(ctx, r.clock.Now().Add(20*time.Millisecond)); err != nil {
			return err
		}
	}
}

// waitFor waits until the process has ended by itself.
func (p *process) waitFor(ctx context.Context, r *run, limit time.Duration) error {
	// Some slack: a client told to send for 10s ends after its last answer.
	ctx, cancel := context.WithTimeoutCause(ctx, limit+5*time.Second, fmt.Errorf("still running after %s; output in %s", limit+5*time.Second, p.log))
	defer cancel()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%w; its output is in %s", exitCause(p.err), p.log)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop asks the process group to end and kills it after a grace of 5 s.
func (p *process) stop() {
	group := -p.cmd.Process.Pid
	select {
	case <-p.done:
		return
	default:
	}
	_ = syscall.Kill(group, syscall.SIGTERM) // it may just have ended
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	select {
	case <-p.done:
	case <-grace.Done():
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-p.done
	}
}

func exitCause(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// fileName turns a step's name into a file's.
func fileName(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.':
		default:
			b[i] = '-'
		}
	}
	return string(b)
}

// String is the step on one line.
func (v *start) String() string { return "start " + strings.Join(v.Command, " ") }
