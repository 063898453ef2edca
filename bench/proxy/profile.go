package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

// takeProfile loads one contestant while its admin server takes a CPU profile, and prints where the time
// goes. It is no part of a measurement: a hundred signals a second are not free.
func (b *bench) takeProfile(ctx context.Context) (err error) {
	i := slices.IndexFunc([]lab.Contestant{lab.Bare, lab.Full, lab.Record}, func(c lab.Contestant) bool { return c.Name == b.profile })
	if i < 0 {
		return fmt.Errorf("profile %q: want bare, full or record", b.profile)
	}
	c := []lab.Contestant{lab.Bare, lab.Full, lab.Record}[i]
	run, err := c.Start(ctx, b.Lab, lab.CoreOfProxy)
	if err != nil {
		return err
	}
	if _, err := b.Wrk(ctx, lab.CoreOfRest, run.Addr, b.profileConns, b.Config.Warm); err != nil {
		return err
	}
	type outcome struct {
		text string
		err  error
	}
	taken := make(chan outcome, 1)
	const seconds = 8
	go func() {
		text, err := lab.Get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", run.Admin, seconds))
		taken <- outcome{text, err}
	}()
	l, err := b.Wrk(ctx, lab.CoreOfRest, run.Addr, b.profileConns, (seconds+1)*time.Second)
	got := <-taken
	if err := errors.Join(err, got.err, b.Stop(run.Proc)); err != nil {
		return err
	}
	dir := filepath.Join("out", "bench-proxy")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-c%d.pprof", c.Name, b.profileConns))
	if err := os.WriteFile(file, []byte(got.text), 0o644); err != nil {
		return err
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=40", b.redlane, file).Output()
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	fmt.Printf("%s, %d connections, %.0f requests/s\n%s\nprofile: %s\n", c.Name, b.profileConns, l.PerSecond(), strings.TrimSpace(string(top)), file)
	return nil
}
