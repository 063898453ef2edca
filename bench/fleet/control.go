package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/fleet"
)

// A shape is what is modelled.
type shape struct {
	workers, rate, die int
	length             time.Duration
}

// A moment is what this process has used and its bus has carried so far.
type moment struct {
	at  time.Time
	cpu time.Duration
	bus bus.Traffic
}

// control leads the modelled workers.
func (m shape) control(ctx context.Context) error {
	server, err := bus.Serve(bus.ServerConfig{})
	if err != nil {
		return err
	}
	defer server.Close()
	b, err := bus.Connect(bus.Config{URL: server.URL()})
	if err != nil {
		return err
	}
	defer b.Close()
	child := exec.CommandContext(ctx, os.Args[0], "-model", server.URL(), "-workers", strconv.Itoa(m.workers),
		"-rate", strconv.Itoa(m.rate), "-seconds", strconv.Itoa(int(m.length.Seconds())), "-die", strconv.Itoa(m.die))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer func() {
		_ = child.Process.Kill() // it has ended, or should
		_ = child.Wait()         // how does not matter any more
	}()

	var seconds []moment // of the run; what comes after the last request is not in them
	began := time.Now()
	now := func() moment { return moment{time.Now(), cpu(), server.Traffic()} }
	report, err := fleet.Control(ctx, fleet.Config{
		Bus: b, Run: "bench", Workers: m.workers, LostLimit: 1, SkewLimit: time.Second, Wait: 2 * time.Minute,
		Log:      func(line string) { fmt.Printf("%7.2fs %s\n", time.Since(began).Seconds(), line) },
		Progress: func(replayer.Progress) { seconds = append(seconds, now()) },
	})
	if err != nil {
		return err
	}
	if len(seconds) < 3 {
		return errors.Join(fmt.Errorf("the run was over after %d seconds", len(seconds)), report.Valid())
	}
	starts, childCPU, err := readStarts(out)
	if err != nil {
		return err
	}
	return m.print(report, seconds, starts, childCPU)
}

// readStarts reads when each modelled worker began, by the machine's clock, and the CPU of them all.
func readStarts(out io.Reader) (starts []time.Time, used time.Duration, err error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("the model says %q", lines.Text())
		}
		if word == "start" {
			starts = append(starts, time.Unix(0, n))
		} else {
			used = time.Duration(n)
		}
	}
	return starts, used, lines.Err()
}

// cpu is the time this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
