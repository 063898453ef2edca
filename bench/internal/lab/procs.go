package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Proc is a program that we started.
type Proc struct {
	name   string
	Cmd    *exec.Cmd
	Stdout output
	Stderr output
	Exited chan struct{} // closed when it has ended; then err says how
	err    error
}

// output is what a program wrote, bounded: a proxy that logs every request must not fill our memory.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < 1<<20 {
		o.text.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// LastLine is the last thing said: most often the reason.
func (p *Proc) LastLine() string {
	text := strings.TrimSpace(p.Stderr.String())
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// Start runs a program on the cores given. It ends with this process at the latest, however that ends.
func (b *Lab) Start(cores []int, env []string, name string, args ...string) (*Proc, error) {
	p := &Proc{name: name, Cmd: exec.Command(name, args...), Exited: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Stdout, &p.Stderr
	p.Cmd.Env = append(os.Environ(), env...)
	// A group of its own: SIGINT from a terminal is for us, and we end it in order.
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := onCores(cores, p.Cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.children = append(b.children, p)
	go func() {
		p.err = p.Cmd.Wait()
		close(p.Exited)
	}()
	if err := checkCores(p.Cmd.Process.Pid, cores); err != nil {
		return nil, errors.Join(err, b.Stop(p))
	}
	return p, nil
}

// Stop ends p and says how it ended: nil after an orderly end.
func (b *Lab) Stop(p *Proc) error {
	b.children = slices.DeleteFunc(b.children, func(c *Proc) bool { return c == p })
	_ = p.Cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.Exited:
	case <-time.After(20 * time.Second): // a drain takes 10 s at most
		_ = p.Cmd.Process.Kill() // see above
		<-p.Exited
		return fmt.Errorf("stop %s: still there after 20s, killed", p.name)
	}
	if killed, ok := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); ok && killed.Signal() == syscall.SIGTERM {
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, p.err, p.LastLine())
	}
	return nil
}

// stopAll ends what is left, the newest first.
func (b *Lab) stopAll() {
	for len(b.children) > 0 {
		_ = b.Stop(b.children[len(b.children)-1]) // the error that brought us here counts
	}
}

// onCores runs f with this thread on the cores given, which a child inherits before its first instruction:
// Go and nginx count the cores they may use when they start.
func onCores(cores []int, f func() error) error {
	var was, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return fmt.Errorf("get affinity: %w", err)
	}
	for _, c := range cores {
		want.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("set affinity to %v: %w", cores, err)
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, &was))
}

func checkCores(pid int, cores []int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		return fmt.Errorf("get affinity of %d: %w", pid, err)
	}
	if set.Count() != len(cores) {
		return fmt.Errorf("process %d may use %d cores, not %v", pid, set.Count(), cores)
	}
	return nil
}

// Move puts a program that has one thread on other cores.
func (p *Proc) Move(cores []int) error {
	var set unix.CPUSet
	for _, c := range cores {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(p.Cmd.Process.Pid, &set); err != nil {
		return fmt.Errorf("move %s to cores %v: %w", p.name, cores, err)
	}
	return nil
}

// Sleep waits, unless p ends or ctx does.
func (p *Proc) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.Exited:
		return fmt.Errorf("%s ended: %s: %s", p.name, p.Cmd.ProcessState, p.LastLine())
	case <-time.After(d):
		return nil
	}
}
