package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/clock"
)

// What is wrong is said in one line, before anything is touched.
func TestWrongConfigurations(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Parse("agent.yaml", []byte(text))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	const state = "state: /var/lib/x\n"
	f("", "agent.yaml:1: the file is empty")
	f("targets: {}", "agent.yaml: state: name a directory")
	f("state: x\n", "agent.yaml: state: want a whole path")
	f(state, "agent.yaml: targets: name what may be hit")
	f(state+"targets: {a b: {lane: red, host: true}}", "agent.yaml: targets: a name has letters")
	f(state+"targets:\n  web: {lane: red, pidfile: /x}", `agent.yaml:3: targets.web: no key "pidfile" (did you mean "pid_file"?)`)
	f(state+"targets:\n  web: {host: true}", "agent.yaml:3: targets.web: lane: say which lane it belongs to; the baseline cannot be hit")
	f(state+"targets:\n  web: {lane: baseline, host: true}", "lane: the baseline cannot be hit")
	f(state+"targets:\n  web: {lane: RED, host: true}", "lane: not a colour")
	f(state+"targets:\n  web: {lane: red}", "say which processes")
	f(state+"targets:\n  web: {lane: red, host: true, cgroup: x}", "cgroup and host: one of these only")
	f(state+"targets:\n  web: {lane: red, cgroup: /}", "cgroup: want a path below the root")
	f(state+"targets:\n  web: {lane: red, cgroup: a/../..}", "cgroup: want a path below the root")
	f(state+"targets:\n  web: {lane: red, marker: REDLANE}", "marker: want NAME=VALUE")
	f(state+"targets:\n  web: {lane: red, pid_file: run/x}", `"run/x": want a whole, clean path`)
	f(state+"targets:\n  web: {lane: red, host: true, dirs: [/]}", `"/": want a whole, clean path`)
	f(state+"targets:\n  web: {lane: red, host: true, start: [/bin/x]}", "start: only with pid_file")
	f(state+"targets:\n  web: {lane: red, pid_file: /x, start: [x]}", "start: want the whole path of a program")
	f(state+"targets:\n  web: {lane: red, pid_file: /x, dir: /y}", "env, dir and log: only with start")
	f(state+"targets: {web: {lane: red, host: true}}\ncaps: {ttl: 31m}", "caps.ttl: want up to 30m0s")
	f(state+"targets: {web: {lane: red, host: true}}\ncaps: {cpu: -1}", "caps.cpu: want a number of cores")
}

func TestRefusedLeases(t *testing.T) {
	f := func(target Target, text, want string) {
		t.Helper()
		l, err := ParseLease([]byte(text))
		if err == nil {
			_, err = l.check(file(t, target))
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	pid, group, whole := Target{PidFile: "/x"}, Target{Cgroup: "x", Dirs: []string{"/data"}}, Target{Host: true, Dirs: []string{"/data"}}
	const head = `{"target": "svc", "lane": "red", "ttl": "10s", `
	f(pid, `[]`, "want a JSON object")
	f(pid, `{}`, "fault: say which: clock, cpu, cpu-limit, disk-error")
	f(pid, `{"fault": "puase"}`, `no fault "puase" (did you mean "pause"?)`)
	f(pid, `{"fault": "pause", "lane": "red", "ttl": "1s"}`, "target: say which")
	f(pid, `{"fault": "pause", "target": "src", "lane": "red", "ttl": "1s"}`, `target: no "src" (did you mean "svc"?)`)
	f(pid, `{"fault": "pause", "target": "svc", "ttl": "1s"}`, "lane: say which")
	f(pid, `{"fault": "pause", "target": "svc", "lane": "baseline", "ttl": "1s"}`, "lane: the baseline cannot be hit")
	f(pid, `{"fault": "pause", "target": "svc", "lane": "blue", "ttl": "1s"}`, `lane: target svc belongs to lane red, not to "blue"`)
	f(pid, `{"fault": "pause", "target": "svc", "lane": "red"}`, "ttl: say how long")
	f(pid, `{"fault": "pause", "target": "svc", "lane": "red", "ttl": "-1s"}`, "ttl: say how long")
	f(pid, `{"fault": "pause", "target": "svc", "lane": "red", "ttl": "31m"}`, "ttl: 31m0s is above the maximum of 30m0s")
	f(pid, head+`"fault": "pause", "id": "a/b"}`, "id: want letters")
	f(whole, head+`"fault": "pause"}`, "which cannot be paused")
	f(pid, head+`"fault": "cpu"}`, "target: want one named by cgroup, or a whole host")
	f(group, head+`"fault": "cpu", "load": "101%"}`, "want a share from 0% to 100%")
	f(group, head+`"fault": "cpu", "cores": -1}`, "cores: want 1 to 1024")
	f(group, head+`"fault": "cpu-limit"}`, "cores: say how many")
	f(group, head+`"fault": "cpu-limit", "cores": 0.001}`, "the kernel's least")
	f(pid, head+`"fault": "cpu-limit", "cores": 1}`, "limits are for a cgroup")
	f(group, head+`"fault": "memory"}`, "size: say how much")
	f(group, head+`"fault": "memory-limit"}`, "limit: say how much")
	f(pid, head+`"fault": "disk-fill"}`, "dir: say which of the target's dirs")
	f(group, head+`"fault": "disk-fill", "dir": "/dta"}`, `dir: target svc has no "/dta" (did you mean "/data"?)`)
	f(group, head+`"fault": "disk-fill", "dir": "/data", "size": 1, "keep": 1}`, "size and keep: one of these only")
	f(group, head+`"fault": "disk-error", "dir": "/data", "error": "fulll"}`, `error: want read-only or full, found "fulll" (did you mean "full"?)`)
	f(group, head+`"fault": "disk-error", "dir": "/data", "size": "1MiB"}`, "size: only with error: full")
	f(group, head+`"fault": "io-limit", "dir": "/data"}`, "read: say how slow")
	f(pid, head+`"fault": "fds", "spare": 9999999}`, "spare: at most")
	f(pid, head+`"fault": "kill", "signal": "TERN"}`, `signal: want KILL or TERM, found "TERN" (did you mean "TERM"?)`)
	f(pid, head+`"fault": "kill", "every": "1ms"}`, "every: at least 100ms")
	f(pid, head+`"fault": "restart"}`, "has no start")
	f(pid, head+`"fault": "clock"}`, "offset: say how far")
	f(pid, head+`"fault": "clock", "offset": "1h"}`, "has no clock")
}

// Some processes are never hit, whatever the configuration names.
func TestSparedProcesses(t *testing.T) {
	f := func(pid int, want string) {
		t.Helper()
		name := filepath.Join(t.TempDir(), "pid")
		require.NoError(t, os.WriteFile(name, []byte(strconv.Itoa(pid)), 0o644))
		g := &ground{target: &Target{Name: "svc", PidFile: name}}
		_, err := g.procs()
		require.ErrorContains(t, err, want)
	}
	f(1, "the first process of the machine is never hit")
	f(os.Getpid(), "the agent's own helpers are never hit")
	f(os.Getppid(), "the agent and what started it are never hit")
	if s, err := readStat(2); err == nil && s.kthread { // not seen from inside a container
		f(2, "a thread of the kernel is never hit")
	}
	f(startService(t, keeperEnv).pid(), "the agent's own helpers are never hit")
	f(0, "want one number")
	f(1<<22+1, "the process it names has ended") // above the kernel's largest

	s := startService(t)
	name := s.pidFile()
	g := &ground{target: &Target{Name: "svc", PidFile: name}}
	procs, err := g.procs()
	require.NoError(t, err)
	require.Equal(t, s.pid(), procs[0].Pid)
	require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-time.Hour)))
	_, err = g.procs()
	require.ErrorContains(t, err, "is younger than the file")

	_, err = (&ground{target: &Target{Name: "svc", Marker: "REDLANE_TEST_NOBODY=x"}}).procs()
	require.EqualError(t, err, "target svc: no process of it runs")
	mark := "REDLANE_TEST_MARK=" + filepath.Base(t.TempDir()) + strconv.Itoa(os.Getpid())
	one, two := startService(t, mark), startService(t, mark)
	startService(t, mark+"0")
	procs, err = (&ground{target: &Target{Name: "svc", Marker: mark}}).procs()
	require.NoError(t, err)
	require.ElementsMatch(t, []int{one.pid(), two.pid()}, []int{procs[0].Pid, procs[1].Pid})
}

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 12345 0 0\n"))
	require.NoError(t, err)
	require.Equal(t, stat{Proc: Proc{42, 12345}, name: "a) b (c)", state: 'S', parent: 7}, s)
	s, err = parseStat([]byte("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0"))
	require.NoError(t, err)
	require.True(t, s.kthread)
	for _, bad := range []string{"", "1", "1 (", "1 )(", "1 (x) S 1", "x (x) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 12345 0"} {
		_, err := parseStat([]byte(bad))
		require.Error(t, err, bad)
	}
}

// An order or a journal that is not whole does nothing, and breaks nothing.
func TestNonsenseIsRefused(t *testing.T) {
	f := func(text, refused, failed string) {
		t.Helper()
		var out strings.Builder
		err := Keep(context.Background(), strings.NewReader(text), &out, clock.System)
		if failed != "" {
			require.ErrorContains(t, err, failed)
			return
		}
		require.NoError(t, err)
		require.Contains(t, out.String(), refused)
	}
	f("", "", "read order: nothing came")
	f("x\n", "", "read order: invalid character")
	f("{}\n", "not valid JSON", "")
	f(`{"lease": {"fault": "pause"}}`+"\n", "read order: not whole", "")
	f(`{"id": "x", "journal": "/x", "lease": {"fault": "restart"}, "target": {"name": "svc"}}`+"\n", "has no start", "")
	f(`{"id": "x", "journal": "/x", "lease": {"fault": "pause"}, "target": {"name": "svc", "pid_file": "/nowhere/pid"}}`+"\n", "no such file", "")

	for _, s := range []Step{{}, {Do: "x"}, {Do: "switch"}, {Do: "switch", Run: &Program{}}, {Do: "write", Run: &Program{Args: []string{"x"}}}} {
		require.ErrorContains(t, undoAll([]Step{s}), "no such step")
		require.Empty(t, s.resource())
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 12345 0 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil {
			require.GreaterOrEqual(t, s.Pid, 0)
		}
	})
}

func FuzzParseLease(f *testing.F) {
	for _, kind := range Faults() {
		f.Add([]byte(fmt.Sprintf(`{"fault": %q, "target": "svc", "lane": "red", "ttl": "1s"}`, kind)))
	}
	file := &File{State: "/x", Targets: map[string]*Target{"svc": {Name: "svc", Lane: "red", Host: true}}}
	if err := file.check(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLease(text)
		if err == nil {
			_, err = l.check(file)
		}
		if err != nil {
			require.False(t, strings.Contains(err.Error(), "\n"))
			return
		}
		again, err := ParseLease(l.Text)
		require.NoError(t, err)
		require.Equal(t, l.Fault, again.Fault)
		require.True(t, l.TTL > 0 && l.TTL <= file.Caps.TTL)
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("state: /x\ntargets: {svc: {lane: red, host: true}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("agent.yaml", text)
		if err != nil {
			require.False(t, strings.Contains(err.Error(), "\n"))
			return
		}
		for _, target := range file.Targets {
			require.True(t, target.Lane.Valid())
		}
	})
}

// What somebody else has set since stays.
func TestUndoLeavesWhatOthersSet(t *testing.T) {
	name := filepath.Join(t.TempDir(), "limit")
	put := func(text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o644)) }
	is := func() string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
	s := Step{Do: "write", Path: name, Set: "20", Was: "99"}
	put("99")
	require.NoError(t, undoAll([]Step{s}), "before it was done")
	require.Equal(t, "99", is())
	require.NoError(t, doAll([]Step{s}))
	require.Equal(t, "20", is())
	require.NoError(t, undoAll([]Step{s}))
	require.NoError(t, undoAll([]Step{s}))
	require.Equal(t, "99", is())
	require.NoError(t, doAll([]Step{s}))
	put("50")
	require.NoError(t, undoAll([]Step{s}))
	require.Equal(t, "50", is())

	// A step that cannot be done takes those before it back.
	put("99")
	err := doAll([]Step{s, {Do: "write", Path: filepath.Dir(name) + "/nowhere", Set: "1"}})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, "99", is())
	require.ErrorContains(t, doAll([]Step{{Do: "nothing"}}), "no such step")
	require.True(t, errors.Is(Proc{Pid: os.Getpid(), Start: 1}.signal(0), errEnded), "the same number, another process")

	put("1:0 5\n8:0 7\n18:0 9\n")
	line := Step{Path: name, Key: "8:0"}
	got, err := line.current()
	require.NoError(t, err)
	require.Equal(t, "8:0 7", got)
}
