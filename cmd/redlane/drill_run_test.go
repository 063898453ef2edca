package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/reports"
)

// drillFiles are what comes with redlane, shortened: the two drills of the sample system, and its mesh.
func drillFiles(t *testing.T, dir string) (mesh string, experiments map[string]string) {
	t.Helper()
	names := []string{"mesh.yaml", "late-credit.json", "double-issue.json"}
	var whole []string
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, "scenarios/library/drills", name))
		require.NoError(t, err)
		whole = append(whole, string(text))
	}
	text, err := onFreePorts(strings.Join(whole, "\x00")) // the same ports in all
	require.NoError(t, err)
	text = strings.NewReplacer(
		"out/lane.key", filepath.Join(dir, "lane.key"), "out/drill.pub", filepath.Join(dir, "drill.pub"), "tape://out/drill/tape", "tape://"+filepath.Join(dir, "tape"),
		`"after": 10`, `"after": 4`, `"recovery": "8s"`, `"recovery": "3s"`, `"steady": 8`, `"steady": 6`, `"window": "1s"`, `"window": "500ms"`,
		// A busy machine is slow by itself.
		`"lag_limit": "50ms"`, `"lag_limit": "10s"`, `"rate": "150/s"`, `"rate": "40/s"`, `"error_rate": 0.5`, `"error_rate": 0.5, "min": 1`, `"error_rate": 0.05`, `"error_rate": 0.05, "min": 1`, `"p99": "5s"`, `"p99": "1m"`, `"20ms"`, `"20s"`, `"200ms"`, `"20s"`,
	).Replace(text)
	experiments = make(map[string]string)
	for i, part := range strings.Split(text, "\x00") {
		path := filepath.Join(dir, names[i])
		require.NoError(t, os.WriteFile(path, []byte(part), 0o644))
		experiments[names[i]] = path
	}
	return experiments["mesh.yaml"], experiments
}

// background runs redlane until the test is over, or stop is called.
func background(t *testing.T, args ...string) (out *lines, stop func()) {
	t.Helper()
	cmd := exec.Command("redlane", args...)
	out = new(lines)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		require.NoError(t, cmd.Wait(), "%s", out)
	}
	t.Cleanup(stop)
	return out, stop
}

// redlaneEnds runs redlane to its end.
func redlaneEnds(t *testing.T, args ...string) (int, string) {
	t.Helper()
	text, err := exec.Command("redlane", args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, text)
	}
	if exit == nil {
		return 0, string(text)
	}
	return exit.ExitCode(), string(text)
}

// What docs/drills.md says, from the recording to the coverage map: the drill that passes, then the same system with
// the planted mistake, which the other drill finds, and which only that drill finds.
func TestDrillsOfTheSampleSystem(t *testing.T) {
	dir := t.TempDir()
	mesh, x := drillFiles(t, dir)
	lane, sign := filepath.Join(dir, "lane"), filepath.Join(dir, "sign")
	token := filepath.Join(dir, "token")
	for _, key := range []string{lane, sign, filepath.Join(dir, "drill")} {
		code, text := redlaneEnds(t, "ticket", "keygen", key)
		require.Zero(t, code, text)
	}
	code, text := redlaneEnds(t, "inject", "token", "--key", filepath.Join(dir, "drill.key"), "--lane", "red", "--out", token)
	require.Zero(t, code, text)
	m, err := loadMesh(mesh)
	require.NoError(t, err)
	gateway := m.Services["gateway"].Listen

	proxy, stopProxy := background(t, "record", "-c", mesh, "--to", "tape://"+filepath.Join(dir, "tape"))
	proxy.await(t, "admin on")
	system, stopSystem := background(t, "redpacket", "system", "-c", mesh)
	system.await(t, "12 instances")
	for _, svc := range m.Services {
		testkit.WaitForPort(t, svc.Endpoints[0])
	}
	code, text = redlaneEnds(t, "redpacket", "crowd", "--to", gateway, "--rate", "200/s", "--for", "5s", "--users", "100000")
	require.Zero(t, code, text)
	stopProxy()

	proxy, _ = background(t, "proxy", "-c", mesh)
	proxy.await(t, "admin on")
	for _, svc := range m.Services {
		for _, lane := range svc.Lanes {
			testkit.WaitForPort(t, lane.Endpoints[0])
		}
	}
	out := func(name string) string { return filepath.Join(dir, "out", name) }
	run := func(name string, want int) string {
		t.Helper()
		code, text := redlaneEnds(t, "drill", "run", x[name+".json"], "--mesh", mesh, "--token-file", token, "--sign", sign+".key", "--out", out(name))
		require.Equal(t, want, code, text)
		code, said := redlaneEnds(t, "drill", "verify", filepath.Join(out(name), journalFile), "--key", sign+".pub")
		require.Zero(t, code, said)
		rep, err := reports.Read(filepath.Join(out(name), reports.JSONFile))
		require.NoError(t, err)
		require.Equal(t, want, reports.Judge(rep).Code)
		return text
	}
	require.Contains(t, run("late-credit", exitPass), "PASS: ")

	// Instances without state of the run before, and with the mistake.
	stopSystem()
	system, _ = background(t, "redpacket", "system", "-c", mesh, "--plant", "double-issue")
	system.await(t, "12 instances")
	for _, svc := range m.Services {
		for _, lane := range svc.Lanes {
			testkit.WaitForPort(t, lane.Endpoints[0])
		}
	}
	require.Contains(t, run("double-issue", exitFailed), "expected the hypothesis holds after the method, got books of shake in lane red")

	// The recording knows every edge; two of its drills have been run.
	code, text = redlaneEnds(t, "drill", "generate", "--from", "tape://"+filepath.Join(dir, "tape"), "--out", out("drills"),
		"--to", gateway, "--service", "gateway", "--lane", "red", "--control-lane", "ctl", "--proxy", "http://"+m.Admin, "--pairs",
		"--journal", filepath.Join(out("late-credit"), journalFile), "--journal", filepath.Join(out("double-issue"), journalFile))
	require.Zero(t, code, text)
	require.Contains(t, text, "30 drills in ") // 5 edges, 4 faults, 10 pairs
	require.Contains(t, text, "2 of 5 edges drilled; 1 broke")
	require.Regexp(t, `packet -> account +\d+ +[\d.]+ ms +- +held`, text)
	require.Regexp(t, `shake -> packet +\d+ +[\d.]+ ms +- +- +broken`, text)
	generated, err := filepath.Glob(filepath.Join(out("drills"), "*.json"))
	require.NoError(t, err)
	code, text = redlaneEnds(t, append([]string{"drill", "check"}, generated...)...)
	require.Zero(t, code, text)

	journal, err := os.ReadFile(filepath.Join(out("double-issue"), journalFile))
	require.NoError(t, err)
	var j struct {
		Status   string
		Deviated bool
	}
	require.NoError(t, json.Unmarshal(journal, &j))
	require.Equal(t, "failed", j.Status)
	require.True(t, j.Deviated)
}
