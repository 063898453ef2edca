package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A load is what wrk says after a run.
type load struct {
	Requests int64
	Length   time.Duration
	P50, P99 time.Duration
	failed   string        // what went wrong, in wrk's words; empty: nothing
	cpu      time.Duration // of wrk itself
	kernel   time.Duration // of that, in the kernel
}

func (l load) PerSecond() float64 { return float64(l.Requests) / l.Length.Seconds() }

// Wrk keeps conns connections busy for d. It takes whole seconds; shorter runs are interrupted, upon which
// it reports as usual.
func (b *Lab) Wrk(ctx context.Context, cores []int, addr string, conns int, d time.Duration) (load, error) {
	seconds := int((d + time.Second - 1) / time.Second)
	p, err := b.Start(cores, nil, "wrk", "-t1", "-c"+strconv.Itoa(conns), fmt.Sprintf("-d%ds", seconds), "--latency", "--timeout", "10s", "http://"+addr+"/")
	if err != nil {
		return load{}, err
	}
	wait := d + 15*time.Second
	if d%time.Second != 0 {
		select {
		case <-time.After(d):
			_ = p.Cmd.Process.Signal(syscall.SIGINT) // it may have ended, which the next lines see
		case <-p.Exited:
		}
	}
	select {
	case <-p.Exited:
	case <-ctx.Done():
		return load{}, errors.Join(context.Cause(ctx), b.Stop(p))
	case <-time.After(wait):
		return load{}, errors.Join(fmt.Errorf("wrk: no end after %s", wait), b.Stop(p))
	}
	if err := b.Stop(p); err != nil {
		return load{}, err
	}
	l, err := parseWrk(p.Stdout.String())
	l.kernel = p.Cmd.ProcessState.SystemTime()
	l.cpu = p.Cmd.ProcessState.UserTime() + l.kernel
	return l, err
}

var (
	wrkTotal   = regexp.MustCompile(`(?m)^ +(\d+) requests in ([\d.]+[a-z]+), `)
	wrkLatency = regexp.MustCompile(`(?m)^ +(\d+)% +([\d.]+[a-z]+)$`)
	wrkFailed  = regexp.MustCompile(`(?m)^ +(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
)

// parseWrk reads what wrk 4 prints with --latency. Its units are Go's.
func parseWrk(text string) (l load, err error) {
	total := wrkTotal.FindStringSubmatch(text)
	if total == nil {
		return load{}, fmt.Errorf("wrk: no total in %q", text)
	}
	if l.Requests, err = strconv.ParseInt(total[1], 10, 64); err != nil {
		return load{}, err
	}
	if l.Length, err = time.ParseDuration(total[2]); err != nil {
		return load{}, err
	}
	for _, m := range wrkLatency.FindAllStringSubmatch(text, -1) {
		d, err := time.ParseDuration(m[2])
		if err != nil {
			return load{}, err
		}
		switch m[1] {
		case "50":
			l.P50 = d
		case "99":
			l.P99 = d
		}
	}
	var failed []string
	for _, m := range wrkFailed.FindAllStringSubmatch(text, -1) {
		failed = append(failed, m[1])
	}
	l.failed = strings.Join(failed, "; ")
	if l.Requests == 0 || l.Length <= 0 || l.P50 == 0 || l.P99 == 0 {
		return load{}, fmt.Errorf("%w: wrk finished no request in %s", errInvalid, total[2])
	}
	return l, nil
}

var number = regexp.MustCompile(`\d+\.\d+\.\d+`)

// Version is the first number of three parts that a program says about itself.
func Version(name, arg string) string {
	out, _ := exec.Command(name, arg).CombinedOutput() // wrk exits with 1 here
	return number.FindString(string(out))
}

// CPU is what wrk itself used.
func (l load) CPU() time.Duration { return l.cpu }

// Kernel is what the kernel had of that.
func (l load) Kernel() time.Duration { return l.kernel }
