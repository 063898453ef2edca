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
)

// takeProfile loads one contestant while its admin server takes a CPU profile, and prints where the time
// goes. It is no part of a measurement: a hundred signals a second are not free.
func (b *bench) takeProfile(ctx context.Context) (err error) {
	i := slices.IndexFunc([]contestant{bare, full, record}, func(c contestant) bool { return c.name == b.profile })
	if i < 0 {
		return fmt.Errorf("profile %q: want bare, full or record", b.profile)
	}
	c := []contestant{bare, full, record}[i]
	run, err := c.start(ctx, b, coreOfProxy)
	if err != nil {
		return err
	}
	if _, err := b.wrk(ctx, coreOfRest, run.addr, b.profileConns, b.warm); err != nil {
		return err
	}
	type outcome struct {
		text string
		err  error
	}
	taken := make(chan outcome, 1)
	const seconds = 8
	go func() {
		text, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", run.admin, seconds))
		taken <- outcome{text, err}
	}()
	l, err := b.wrk(ctx, coreOfRest, run.addr, b.profileConns, (seconds+1)*time.Second)
	got := <-taken
	if err := errors.Join(err, got.err, b.stop(run.proc)); err != nil {
		return err
	}
	dir := filepath.Join("out", "bench-proxy")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-c%d.pprof", c.name, b.profileConns))
	if err := os.WriteFile(file, []byte(got.text), 0o644); err != nil {
		return err
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=40", b.redlane, file).Output()
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	fmt.Printf("%s, %d connections, %.0f requests/s\n%s\nprofile: %s\n", c.name, b.profileConns, l.perSecond(), strings.TrimSpace(string(top)), file)
	return nil
}
