package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

var packetKeys = []string{"packets_lost_unexplained", "packets_lost_counted_pct", "packets_us_per_exchange"}

var _ = parts.Add("packets", packetKeys, (*bench).packets)

const packetConns = 64

// packets records small GETs from loopback while wrk, nginx and the capture share two cores: first as fast as
// they go, then at 80 % of that rate for as long as ten million take. What nginx handled is the truth.
func (b *bench) packets(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		b.leave(errors.New("capturing needs root"), packetKeys...)
		return nil
	}
	if err := b.Backend.Move(lab.BothCores); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Backend.Move(lab.CoreOfRest)) }()
	fast, long, many := 20*time.Second, 10*time.Minute, int64(10_000_000)
	if b.quick {
		fast, many = 4*time.Second, 400_000
	}
	full := captured{}
	var each []float64
	for range b.rounds {
		c, err := b.capture(ctx, "packets", func() error { return b.small(ctx, packetConns, 0, fast) })
		if err != nil {
			return err
		}
		b.Note("as fast as it goes: %s", c)
		full.add(c)
		each = append(each, c.usPerExchange())
	}
	if c, err := b.capture(ctx, "ebpf", func() error { return b.small(ctx, packetConns, 0, fast) }); err != nil {
		b.Note("not with --source ebpf: %v", err)
	} else {
		b.Note("the same with --source ebpf: %s", c)
	}
	conns, err := b.connsFor(ctx, 0.8*full.perSecond())
	if err != nil {
		return err
	}
	eighty, err := b.capture(ctx, "packets", func() error {
		return b.until(ctx, many, long, func(left int64) error {
			return b.small(ctx, conns, time.Millisecond, time.Duration(float64(left)/(0.8*full.perSecond())*float64(time.Second)))
		})
	})
	if err != nil {
		return err
	}
	b.Note("at %.0f %% of that: %s", 100*eighty.perSecond()/full.perSecond(), eighty)
	lost := 100 * float64(full.lost) / float64(full.handled)
	b.single("packets_lost_unexplained", float64(full.unexplained+eighty.unexplained), "of %d exchanges, %d are on no tape and in no ledger", full.handled+eighty.handled, full.unexplained+eighty.unexplained)
	b.single("packets_lost_counted_pct", lost, "at full rate %d of %d were lost and counted, at the lower rate %d of %d", full.lost, full.handled, eighty.lost, eighty.handled)
	b.figure("packets_us_per_exchange", lab.SpreadOf(each, each))
	return nil
}

// A captured is one run of redlane record --iface.
type captured struct {
	handled     int64 // by nginx
	lost        int64 // counted by redlane
	unexplained int64
	reasons     string // of what redlane dropped, requests cut off at the end of the load included
	took        time.Duration
	cpu         time.Duration // of the whole process, from before the load until everything is on the tape
}

func (c *captured) add(o captured) {
	c.handled += o.handled
	c.lost += o.lost
	c.unexplained += o.unexplained
	c.took += o.took
	c.cpu += o.cpu
}

func (c captured) perSecond() float64     { return float64(c.handled) / c.took.Seconds() }
func (c captured) usPerExchange() float64 { return c.cpu.Seconds() * 1e6 / float64(c.handled) }

func (c captured) String() string {
	return fmt.Sprintf("%d exchanges, %.0f/s, %d lost and counted, %d unexplained, %.2f us of CPU each%s", c.handled, c.perSecond(), c.lost, c.unexplained, c.usPerExchange(), c.reasons)
}

// capture records with a source while load runs.
func (b *bench) capture(ctx context.Context, source string, load func() error) (c captured, err error) {
	dir, err := b.NewDir("packets")
	if err != nil {
		return c, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // ten million exchanges are half a gigabyte
	_, port, _ := strings.Cut(b.Backend.Addr, ":")
	p, err := b.Start(lab.BothCores, nil, b.redlane, "record", "--iface", "lo", "--source", source, "--port", port, "--to", "tape://"+filepath.Join(dir, "tape"))
	if err != nil {
		return c, err
	}
	for !strings.Contains(p.Stderr.String(), "capturing from") {
		if err := p.Sleep(ctx, 10*time.Millisecond); err != nil {
			return c, err
		}
	}
	first, err := b.Backend.Settled(ctx)
	if err != nil {
		return c, err
	}
	before, err := lab.UsageOf(p.Cmd.Process.Pid)
	if err != nil {
		return c, err
	}
	began := time.Now()
	if err := load(); err != nil {
		return c, err
	}
	c.took = time.Since(began)
	last, err := b.Backend.Settled(ctx)
	if err != nil {
		return c, err
	}
	c.handled = last - first
	if err := p.Sleep(ctx, 500*time.Millisecond); err != nil { // the ring is read and pages are flushed within 100ms
		return c, err
	}
	after, err := lab.UsageOf(p.Cmd.Process.Pid)
	if err != nil {
		return c, err
	}
	c.cpu = after.Since(before).Total
	if err := b.Stop(p); err != nil {
		return c, err
	}
	return c, c.books(p.Stdout.String())
}

var (
	recordBook = regexp.MustCompile(`(?m)^record: accepted (\d+) = passed (\d+) \+ filtered 0 \+ sampled out 0 \+ dropped (\d+)(.*), balanced$`)
	unfinished = regexp.MustCompile(`(?m)^record: .*unfinished: (\d+)`)
)

// books compares what redlane printed with what nginx handled. What wrk asked and did not wait for may have been
// seen without nginx having read it, or be unfinished: that is no loss of the capture.
func (c *captured) books(text string) error {
	m := recordBook.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("no balanced ledger in %q", text)
	}
	accepted, _ := strconv.ParseInt(m[1], 10, 64) // digits
	dropped, _ := strconv.ParseInt(m[3], 10, 64)
	c.reasons = m[4]
	var cut int64
	if m := unfinished.FindStringSubmatch(text); m != nil {
		cut, _ = strconv.ParseInt(m[1], 10, 64)
		cut = min(cut, maxConns)
	}
	c.lost = dropped - cut
	switch {
	case accepted < c.handled:
		c.unexplained = c.handled - accepted
	case accepted > c.handled+maxConns:
		c.unexplained = accepted - c.handled
	}
	return nil
}

// maxConns is how many connections a load has at most, and how many requests it leaves behind at its end.
const maxConns = 512

// until loads until nginx has handled n requests, or for a time.
func (b *bench) until(ctx context.Context, n int64, most time.Duration, load func(left int64) error) error {
	first, err := b.Backend.Settled(ctx)
	for began, done := time.Now(), int64(0); err == nil && done < n && time.Since(began) < most; {
		if err = load(n - done); err != nil {
			break
		}
		done, err = b.Backend.Settled(ctx)
		done -= first
	}
	return err
}

// connsFor finds how many connections that pause for a millisecond after each answer make about rate.
func (b *bench) connsFor(ctx context.Context, rate float64) (int, error) {
	conns := packetConns
	for range 4 {
		var got captured
		var err error
		if got, err = b.capture(ctx, "packets", func() error { return b.small(ctx, conns, time.Millisecond, 2*time.Second) }); err != nil {
			return 0, err
		}
		next := int(float64(conns) * rate / got.perSecond())
		if next = max(1, min(maxConns, next)); next == conns {
			break
		}
		conns = next
	}
	return conns, nil
}

// small asks for the backend's page, with a pause after each answer.
func (b *bench) small(ctx context.Context, conns int, pause, d time.Duration) error {
	args := []string{"-t1", "-c" + strconv.Itoa(conns), fmt.Sprintf("-d%ds", max(1, int(d/time.Second))), "--timeout", "10s"}
	if pause > 0 {
		script := filepath.Join(b.Dir, "pause.lua")
		text := fmt.Sprintf("function delay() return %d end\n", pause/time.Millisecond)
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			return err
		}
		args = append(args, "-s", script)
	}
	p, err := b.Start(lab.BothCores, nil, "wrk", append(args, "http://"+b.Backend.Addr+"/")...)
	if err != nil {
		return err
	}
	select {
	case <-p.Exited:
		return b.Stop(p)
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), b.Stop(p))
	case <-time.After(d + 20*time.Second):
		return errors.Join(errors.New("wrk: no end"), b.Stop(p))
	}
}
