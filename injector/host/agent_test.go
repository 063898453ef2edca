package host

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/cgroup"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

func TestALeaseBeginsAndEnds(t *testing.T) {
	t.Parallel()
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile()}))
	require.Empty(t, a.List())
	first := add(t, a, `"fault": "pause"`)
	require.Equal(t, "h1", first.ID)
	require.Equal(t, "T", s.state())

	_, err := a.Add(lease(t, `"fault": "pause", "id": "h1"`))
	require.ErrorIs(t, err, injector.ErrTaken)
	_, err = a.Add(lease(t, `"fault": "pause"`))
	require.ErrorContains(t, err, "it is stopped already, by somebody else")

	again, err := a.Renew("h1")
	require.NoError(t, err)
	require.Equal(t, first.Expires, again.Expires, "renewing does not prolong the ttl")
	remove(t, a, "h1")
	require.NotEqual(t, "T", s.state())
	_, err = a.Renew("h1")
	require.ErrorIs(t, err, injector.ErrOver)
	remove(t, a, "h1") // no error

	_, err = a.Renew("h9")
	require.ErrorIs(t, err, injector.ErrNoLease)
	_, err = a.Remove("h9")
	require.ErrorIs(t, err, injector.ErrNoLease)

	add(t, a, `"fault": "pause", "id": "h1"`) // an id that is over may be used again
	require.Equal(t, 1, a.Halt())
	require.NotEqual(t, "T", s.state())
	require.Equal(t, 0, a.Halt())
}

func TestTheTTLIsTheWholeLife(t *testing.T) {
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile()}))
	l := lease(t, `"fault": "pause"`)
	l.TTL = 500 * time.Millisecond
	began := time.Now()
	st, err := a.Add(l)
	require.NoError(t, err)
	eventually(t, "it is over", func() bool {
		_, err := a.Renew(st.ID)
		return err != nil
	})
	eventually(t, "it has expired", func() bool { return status(t, a, st.ID).State == Expired })
	require.GreaterOrEqual(t, time.Since(began), 500*time.Millisecond)
	require.NotEqual(t, "T", s.state())
}

func TestNobodyRenews(t *testing.T) {
	t.Parallel()
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile()}))
	began := time.Now()
	st := add(t, a, `"fault": "pause"`)
	eventually(t, "it has lapsed", func() bool { return status(t, a, st.ID).State == Lapsed })
	require.GreaterOrEqual(t, time.Since(began), Silence)
	require.NotEqual(t, "T", s.state())
}

// Whoever is killed, the service runs again.
func TestKilledKeeper(t *testing.T) {
	t.Parallel()
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile()}))
	st := add(t, a, `"fault": "pause"`)
	require.NoError(t, syscall.Kill(st.Keeper, syscall.SIGKILL))
	eventually(t, "the agent takes over", func() bool { return status(t, a, st.ID).State == Orphaned })
	require.NotEqual(t, "T", s.state())

	st = add(t, a, `"fault": "pause"`)
	require.NoError(t, syscall.Kill(st.Keeper, syscall.SIGSTOP))
	eventually(t, "a keeper that stands still is replaced", func() bool { return status(t, a, st.ID).State == Orphaned })
	require.NotEqual(t, "T", s.state())
}

// doomed is an agent in a process of its own, with a lease that pauses the service.
type doomed struct {
	cmd    *exec.Cmd
	keeper int
}

// startDoomed starts one with the target, in YAML, and a lease.
func startDoomed(t testing.TB, state, target, fault string) *doomed {
	t.Helper()
	key, secret := drillKey(t)
	config := filepath.Join(t.TempDir(), "agent.yaml")
	text := fmt.Sprintf("state: %s\ndrills: {keys: [%s]}\ntargets: {svc: {lane: red, %s}}\n", state, key, target)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o644))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=agent", "REDLANE_HOST_TEST_CONFIG="+config)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var st Status
	require.NoError(t, (&Client{Base: "http://" + lines.Text(), Token: secret}).ask(context.Background(), "POST", "/faults", lease(t, fault).Text, &st))
	require.Equal(t, Live, st.State)
	return &doomed{cmd, st.Keeper}
}

// keeperGone is also true of one that nobody has waited for yet.
func (d *doomed) keeperGone() bool {
	s, err := readStat(d.keeper)
	return err != nil || s.ended()
}

func TestKilledAgent(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		s := startService(t)
		state := t.TempDir()
		d := startDoomed(t, state, "pid_file: "+s.pidFile(), `"fault": "pause"`)
		require.Equal(t, "T", s.state())
		require.NoError(t, d.cmd.Process.Kill())
		began := time.Now()
		eventually(t, "the keeper takes it back", func() bool { return s.state() != "T" })
		t.Logf("%d: taken back %s after the kill", i, time.Since(began).Round(time.Millisecond))
		eventually(t, "the keeper is gone", d.keeperGone)
		left, err := filepath.Glob(filepath.Join(state, "*.undo"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// What the agent was killed in the middle of is undone, whatever it was.
func TestKilledAgentOfEveryFault(t *testing.T) {
	t.Parallel()
	name := newGroup(t, "cpu", "memory", "freezer")
	s := startService(t)
	enter(t, name, s.pid())
	disk := testkit.SmallDisk(t, 4<<20)
	clock := filepath.Join(t.TempDir(), "clock")
	require.NoError(t, os.WriteFile(clock, nil, 0o644))
	target := fmt.Sprintf("cgroup: %s, dirs: [%s], clock: %s", name, disk, clock)
	// all that a fault of the list could have changed
	look := func() string {
		var all []string
		m, err := cgroup.Find()
		require.NoError(t, err)
		for _, file := range []string{
			"cpu/cpu.cfs_quota_us", "memory/memory.limit_in_bytes", "unified/cpu.max", "unified/memory.max", "unified/memory.high", "unified/cgroup.freeze",
		} {
			tree, file, _ := strings.Cut(file, "/")
			root := m.V1[tree]
			if tree == "unified" {
				root = m.Unified
			}
			text, _ := os.ReadFile(filepath.Join(root, name, file))
			all = append(all, file+" "+strings.TrimSpace(string(text)))
		}
		var limit unix.Rlimit
		require.NoError(t, unix.Prlimit(s.pid(), unix.RLIMIT_NOFILE, nil, &limit))
		var fs unix.Statfs_t
		require.NoError(t, unix.Statfs(disk, &fs))
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		shifted, err := os.ReadFile(clock)
		require.NoError(t, err)
		if len(shifted) > 0 && string(shifted[24:32]) == "\x00\x00\x00\x00\x00\x00\x00\x00" {
			shifted = nil
		}
		return fmt.Sprint(all, limit.Cur, fs.Bfree, bytes.Count(mounts, []byte(disk+" ")), string(shifted))
	}
	before := look()
	for _, fault := range []string{
		`"fault": "pause"`, `"fault": "fds", "spare": 3`, `"fault": "cpu-limit", "cores": 0.5`, `"fault": "memory-limit", "limit": "64MiB", "kill": true`,
		`"fault": "clock", "offset": "1h"`, `"fault": "disk-fill", "dir": "` + disk + `"`, `"fault": "disk-error", "dir": "` + disk + `"`,
	} {
		d := startDoomed(t, t.TempDir(), target, fault)
		require.NotEqual(t, before, look(), fault)
		require.NoError(t, d.cmd.Process.Kill())
		eventually(t, "it is taken back: "+fault, func() bool { return look() == before })
		eventually(t, "the keeper is gone", d.keeperGone)
	}
	require.Equal(t, "1 <nil>", s.ask("open 1"))
}

func TestKilledAgentAndKeeper(t *testing.T) {
	t.Parallel()
	s := startService(t)
	f := file(t, Target{PidFile: s.pidFile()})
	d := startDoomed(t, f.State, "pid_file: "+s.pidFile(), `"fault": "pause"`)
	require.NoError(t, syscall.Kill(d.keeper, syscall.SIGSTOP)) // so that it sees nothing
	eventually(t, "the keeper stands still", func() bool {
		k, err := readStat(d.keeper)
		return err == nil && k.state == 'T'
	})
	require.NoError(t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
	require.NoError(t, syscall.Kill(d.keeper, syscall.SIGKILL))
	eventually(t, "the keeper is gone", d.keeperGone)
	require.Equal(t, "T", s.state(), "nobody is left to take it back")

	run(t, f)
	require.NotEqual(t, "T", s.state(), "the next agent does")
}

// A machine that was started anew has nothing to take back, and its process numbers mean others.
func TestJournalOfAnEarlierStart(t *testing.T) {
	s := startService(t)
	f := file(t, Target{PidFile: s.pidFile()})
	st, err := readStat(s.pid())
	require.NoError(t, err)
	text, err := json.Marshal(journal{"another", Proc{}, []Step{{Do: "stop", Proc: st.Proc}}})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(f.State, 0o700))
	require.NoError(t, os.WriteFile(journalName(f.State, "old"), text, 0o600))
	require.NoError(t, syscall.Kill(s.pid(), syscall.SIGSTOP))
	eventually(t, "it is stopped", func() bool { return s.state() == "T" })
	run(t, f)
	require.Equal(t, "T", s.state())
}

func TestOneAgentForAState(t *testing.T) {
	t.Parallel()
	s := startService(t)
	f := file(t, Target{PidFile: s.pidFile()})
	run(t, f)
	_, err := New(Config{File: f})
	require.ErrorContains(t, err, "another agent has it")
}

func TestLeasesDoNotOverlap(t *testing.T) {
	t.Parallel()
	s := startService(t)
	f := file(t, Target{PidFile: s.pidFile()})
	twin := *f.Targets["svc"]
	twin.Name = "twin"
	f.Targets["twin"] = &twin
	a := run(t, f)
	add(t, a, `"fault": "fds", "spare": 5, "id": "one"`)
	other := lease(t, `"fault": "fds", "spare": 3`)
	other.Target = "twin" // the same process by another name
	_, err := a.Add(other)
	require.ErrorContains(t, err, "lease one changes files of process")
	require.ErrorIs(t, err, injector.ErrTaken)
	remove(t, a, "one")
	_, err = a.Add(other)
	require.NoError(t, err)
}

func TestCapsHoldForAllTogether(t *testing.T) {
	f := file(t, Target{Host: true})
	f.Caps.Memory, f.Caps.CPU, f.Caps.Leases = 24<<20, 0.5, 2
	a := run(t, f)
	add(t, a, `"fault": "memory", "size": "16MiB", "id": "one"`)
	_, err := a.Add(lease(t, `"fault": "memory", "size": "16MiB"`))
	require.EqualError(t, err, "add lease: size: 32MiB of memory with the other leases, and caps.memory is 24MiB")
	_, err = a.Add(lease(t, `"fault": "cpu", "load": "60%"`))
	require.EqualError(t, err, "add lease: cores: 0.6 with the other leases, and caps.cpu is 0.5")
	add(t, a, `"fault": "memory", "size": "1MiB"`)
	_, err = a.Add(lease(t, `"fault": "memory", "size": "1MiB"`))
	require.ErrorIs(t, err, injector.ErrFull)
	remove(t, a, "one")
	add(t, a, `"fault": "memory", "size": "16MiB", "id": "one"`)
}

func TestAdminAPI(t *testing.T) {
	t.Parallel()
	s := startService(t)
	closed := run(t, file(t, Target{PidFile: s.pidFile()}))
	config := file(t, Target{PidFile: s.pidFile()})
	key, secret := drillKey(t)
	config.Drills = &Drills{Keys: []string{key}, HaltFile: filepath.Join(t.TempDir(), "halt")}
	a := run(t, config)
	handler := closed.Handler()
	f := func(method, path, body string, code int, want string) {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set(token.Header, secret)
		handler.ServeHTTP(w, r)
		require.Equal(t, code, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), want)
		require.Equal(t, 1, strings.Count(w.Body.String(), "\n"), "one line")
	}
	const good = `{"fault": "pause", "target": "svc", "lane": "red", "ttl": "30s"`
	f("GET", "/faults", "", 200, "[]")
	f("POST", "/faults", good+`}`, 403, `{"error":"add lease: no fault can be started here over the network: the agent configuration has no drills"}`)
	handler = a.Handler()
	f("POST", "/faults", good+`, "id": "p"}`, 201, `{"id":"p","state":"live","expires":"`)
	f("POST", "/faults", good+`, "id": "p"}`, 409, `{"error":"add lease: p: a lease of this id is live"}`)
	f("POST", "/faults/p/renew", "", 200, `"state":"live"`)
	f("DELETE", "/faults/p", "", 200, `"state":"removed"`)
	f("POST", "/faults/p/renew", "", 409, `the lease is over`)
	f("DELETE", "/faults/q", "", 404, `no such lease`)
	f("GET", "/faults", "", 200, `"lease":{"fault":"pause","target":"svc"`)
	f("POST", "/faults", good, 400, `{"error":"read lease: not valid JSON`)
	f("POST", "/faults", good+`, "spare": 3}`, 400, `{"error":"read lease: no key \"spare\"`)
	f("POST", "/faults", strings.Repeat(" ", 65<<10), 413, "too large")
	f("PUT", "/faults", "", 405, "no such method here")
	f("GET", "/nowhere", "", 404, "no such path")
	f("POST", "/halt", "", 200, `{"halted":0}`)

	// To stop takes no token, to start and to go on does.
	f("POST", "/faults", good+`, "id": "p"}`, 201, `"state":"live"`)
	key2, _ := drillKey(t)
	first := secret
	secret = ""
	f("POST", "/faults", good+`, "id": "q"}`, 401, "a drill token is needed to start a fault")
	f("POST", "/faults/p/renew", "", 401, "a drill token is needed")
	config.Drills.Keys, secret = []string{key2}, first
	f("POST", "/faults/p/renew", "", 403, "is signed with key")
	f("GET", "/faults", "", 200, `"state":"live"`)
	secret = ""
	f("DELETE", "/faults/p", "", 200, `"state":"removed"`)
	config.Drills.Keys, secret = []string{key}, first
	f("POST", "/faults", good+`, "id": "p"}`, 201, `"state":"live"`)
	secret = ""
	f("POST", "/halt", "", 200, `{"halted":1}`)
}

// drillKey makes a key, and a token for lane red that is signed with it.
func drillKey(t testing.TB) (file, secret string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	text, err := ticket.EncodePublic(public)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "drill.pub")
	require.NoError(t, os.WriteFile(file, text, 0o644))
	tok, err := token.Issue(private, []traffic.Color{"red"}, "test", time.Now(), time.Hour)
	require.NoError(t, err)
	return file, tok.String()
}

func TestHaltFile(t *testing.T) {
	t.Parallel()
	s := startService(t)
	f := file(t, Target{PidFile: s.pidFile()})
	f.Drills = &Drills{Keys: []string{"x"}, HaltFile: filepath.Join(t.TempDir(), "halt")}
	a := run(t, f)
	st := add(t, a, `"fault": "pause"`)
	require.NoError(t, os.WriteFile(f.Drills.HaltFile, nil, 0o644))
	eventually(t, "it is ended", func() bool { return status(t, a, st.ID).State == Removed })
	require.NotEqual(t, "T", s.state())
	_, err := a.Add(lease(t, `"fault": "pause"`))
	require.ErrorIs(t, err, injector.ErrHalted)
	require.NoError(t, os.Remove(f.Drills.HaltFile))
	add(t, a, `"fault": "pause"`)
}
