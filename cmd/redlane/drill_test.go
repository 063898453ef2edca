package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/scenarios/library"
)

// The scenario of the demo in ten seconds, eight services as processes of their own: recorded, replayed
// into the lane, with a fault that is seen there and not in the baseline.
func TestDemoScenarioInShort(t *testing.T) {
	text, err := onFreePorts(library.Redpacket)
	require.NoError(t, err)
	dir := t.TempDir()
	text = strings.NewReplacer(
		"out/redpacket/tape", filepath.Join(dir, "tape"),
		"for: 50s", "for: 9s", "--for, 50s", "--for, 9s", // crowd
		"for: 38s", "for: 4s", // record
		"at: 41s", "at: 6s", "rate: 5x", "rate: 2x", "lag_limit: 50ms", "lag_limit: 10s", // replay
		"at: 44s", "at: 6s", "for: 3s", "for: 2s", // slow packet
		// A busy machine is slow by itself; what must show is the fault, below.
		"< 25ms", "< 10s", "due.p99 < 1s", "due.p99 < 30s",
	).Replace(text)
	path := filepath.Join(dir, "scenario.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))

	out, err := exec.Command("redlane", "run", path, "--out", filepath.Join(dir, "report")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "PASS: All 8 expectations held")

	run, err := reports.Read(filepath.Join(dir, "report", reports.JSONFile))
	require.NoError(t, err)
	p50 := func(lane string) time.Duration {
		i := slices.IndexFunc(run.Expect, func(e reports.Expectation) bool {
			return strings.HasPrefix(e.Text, "p50(edge=shake -> packet, lane="+lane)
		})
		require.GreaterOrEqual(t, i, 0)
		d, err := time.ParseDuration(run.Expect[i].Got)
		require.NoError(t, err)
		return d
	}
	require.Greater(t, p50("red"), 40*time.Millisecond, "the fault adds 50ms")
	require.Greater(t, p50("red"), p50("baseline"), "to one of them")
	require.Len(t, run.Faults, 1)
	require.Positive(t, run.Faults[0].Struck)
	require.Equal(t, run.Faults[0].Looked, run.Faults[0].Struck, "asked for 100 %%")
	require.Len(t, run.Ledgers, 2)
	require.Equal(t, run.Ledgers[0].Passed, run.Ledgers[1].Accepted, "all that was recorded was replayed")
	for _, lane := range run.Lanes {
		require.Zero(t, lane.Escapes)
		require.Contains(t, []string{"baseline", "matched"}, lane.Reason, "%+v", lane)
	}
	require.NotEmpty(t, run.Invariants)
}

// Interrupted, a run ends everything it started and still writes its report.
func TestInterruptedRunStillReports(t *testing.T) {
	text, err := onFreePorts(library.Redpacket)
	require.NoError(t, err)
	dir := t.TempDir()
	path := filepath.Join(dir, "scenario.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "out/redpacket/tape", filepath.Join(dir, "tape"))), 0o644))
	cmd := exec.Command("redlane", "run", path, "--out", filepath.Join(dir, "report"))
	out := new(lines)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out.await(t, "record gateway to")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit, "%s", out)
	require.Equal(t, exitInvalid, exit.ExitCode(), "%s", out)
	require.Contains(t, out.String(), "interrupted")
	run, err := reports.Read(filepath.Join(dir, "report", reports.JSONFile))
	require.NoError(t, err)
	require.NotEmpty(t, run.Broken)
	require.Len(t, run.Ledgers, 1)
	require.NoError(t, run.Ledgers[0].Balance())

	// Nothing is left running: every service's port is free again.
	for _, addr := range loopbackPorts(text) {
		requireNobodyListens(t, addr)
	}
}
