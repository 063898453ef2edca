package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/testkit"
)

func TestPauseOfACgroup(t *testing.T) {
	name := newGroup(t, "freezer")
	s := startService(t)
	enter(t, name, s.pid())
	a := run(t, file(t, Target{Cgroup: name}))
	st := add(t, a, `"fault": "pause"`)
	require.Equal(t, "write", st.Changes[0].Do)
	group, err := openGroup(name, "")
	require.NoError(t, err)
	if !group.v1 {
		eventually(t, "it is frozen", func() bool {
			text, err := group.read("cgroup.events")
			return err == nil && strings.Contains(text, "frozen 1")
		})
	}
	remove(t, a, st.ID)
	require.Contains(t, s.ask("open 1"), "1 <nil>")
}

func TestFDs(t *testing.T) {
	t.Parallel()
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile()}))
	require.Equal(t, "50 <nil>", s.ask("open 50"))
	for _, spare := range []int{0, 7} {
		st := add(t, a, fmt.Sprintf(`"fault": "fds", "spare": %d`, spare))
		require.Equal(t, fmt.Sprintf("%d open /dev/null: too many open files", spare), s.ask("open 50"))
		remove(t, a, st.ID)
		require.Equal(t, "50 <nil>", s.ask("open 50"))
	}
}

func TestKillOnceAndAgain(t *testing.T) {
	s := startService(t)
	pidFile := s.pidFile()
	a := run(t, file(t, Target{PidFile: pidFile}))
	add(t, a, `"fault": "kill", "every": "100ms", "id": "k"`)
	require.Error(t, s.cmd.Wait())
	require.Equal(t, syscall.SIGKILL, s.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())

	again := startService(t) // by whoever keeps it running
	require.NoError(t, os.WriteFile(pidFile, []byte(strconv.Itoa(again.pid())), 0o644))
	require.Error(t, again.cmd.Wait())
	remove(t, a, "k")
	third := startService(t)
	require.NoError(t, os.WriteFile(pidFile, []byte(strconv.Itoa(third.pid())), 0o644))
	require.Equal(t, "1 <nil>", third.ask("open 1"))
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	target := Target{PidFile: filepath.Join(dir, "pid"), Start: []string{self}, Env: map[string]string{roleEnv: "daemon", "GORACE": noWait}}
	p := &Program{Args: target.Start, Env: target.Env, PidFile: target.PidFile, Grace: time.Second}
	require.NoError(t, p.start())
	proc := func() (stat, error) { return readPidFile(target.PidFile) }
	first, err := proc()
	require.NoError(t, err)
	t.Cleanup(func() {
		if s, err := proc(); err == nil {
			require.NoError(t, s.stop(0))
		}
		var ws syscall.WaitStatus // the first one is a child of the test
		_, _ = syscall.Wait4(first.Pid, &ws, 0, nil)
	})

	a := run(t, file(t, target))
	add(t, a, `"fault": "restart", "id": "r"`)
	_, err = first.look()
	require.ErrorIs(t, err, errEnded, "it is down while the lease lives")
	_, err = proc()
	require.ErrorIs(t, err, errEnded)
	remove(t, a, "r")
	second, err := proc()
	require.NoError(t, err)
	require.NotEqual(t, first.Proc, second.Proc)
	require.False(t, hasEnv(second.Pid, keeperEnv), "it can be hit again")

	add(t, a, `"fault": "restart", "id": "r"`)
	require.NoError(t, syscall.Kill(status(t, a, "r").Keeper, syscall.SIGKILL))
	eventually(t, "the agent starts it when the keeper was killed", func() bool {
		s, err := proc()
		return err == nil && s.Proc != second.Proc
	})
	third, err := proc()
	require.NoError(t, err)
	require.NoError(t, undoSwitch(&Step{Proc: second.Proc, Run: p}))
	now, err := proc()
	require.NoError(t, err)
	require.Equal(t, third.Proc, now.Proc, "undone twice, it is started once")
	t.Cleanup(func() {
		require.NoError(t, third.stop(0))
		var ws syscall.WaitStatus // started by the agent in the test's own process
		_, _ = syscall.Wait4(third.Pid, &ws, 0, nil)
	})
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "clock")
	s := startService(t, "REDLANE_CLOCK="+name)
	a := run(t, file(t, Target{PidFile: s.pidFile(), Clock: name}))
	require.Equal(t, "0s", s.ask("off"))
	for _, offset := range []string{"1h0m0s", "-1h30m0s"} {
		st := add(t, a, `"fault": "clock", "offset": "`+offset+`"`)
		require.Equal(t, offset, s.ask("off"))
		remove(t, a, st.ID)
		require.Equal(t, "0s", s.ask("off"))
	}
	// Also when nobody is left who could take it back.
	s.in.Close()
}

func TestCPU(t *testing.T) {
	name := newGroup(t, "cpu", "cpuacct")
	a := run(t, file(t, Target{Cgroup: name}))
	st := add(t, a, `"fault": "cpu", "load": "10%"`)
	began, before := time.Now(), cpuOf(t, st.Keeper)
	time.Sleep(time.Second)
	used, elapsed := cpuOf(t, st.Keeper)-before, time.Since(began)
	remove(t, a, st.ID)
	share := float64(used) / float64(elapsed)
	t.Logf("asked 10%% of a core, measured %.1f%% over %s", 100*share, elapsed.Round(time.Millisecond))
	require.Less(t, share, 0.15, "never more than was asked")
	require.Positive(t, used)
}

// cpuOf is what all threads of a process were given, to the nanosecond: utime is counted in ticks that beat
// with the periods of a fault.
func cpuOf(t *testing.T, pid int) (used time.Duration) {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		require.NoError(t, err)
		used += time.Duration(ns)
	}
	return used
}

// The limit is on the cgroup's own account, whatever the machine does beside it.
func TestCPULimit(t *testing.T) {
	name := newGroup(t, "cpu", "cpuacct")
	a := run(t, file(t, Target{Cgroup: name}))
	group, err := openGroup(name, "cpu")
	if err != nil {
		t.Skip(err)
	}
	file := "cpu.max"
	if group.v1 {
		file = "cpu.cfs_quota_us"
	}
	was, err := group.read(file)
	require.NoError(t, err)
	limit := add(t, a, `"fault": "cpu-limit", "cores": 0.2`)
	now, err := group.read(file)
	require.NoError(t, err)
	require.NotEqual(t, was, now)
	_, err = (&CPULimit{Cores: 0.3}).plan(&ground{target: &Target{Cgroup: name}})
	require.ErrorContains(t, err, "cores: the target may use no more than 0.2 as it is")
	burn := add(t, a, `"fault": "cpu"`)
	began, before := time.Now(), cpuOf(t, burn.Keeper)
	time.Sleep(time.Second)
	used, elapsed := cpuOf(t, burn.Keeper)-before, time.Since(began)
	share := float64(used) / float64(elapsed)
	t.Logf("limited to 20%% of a core, measured %.1f%% over %s", 100*share, elapsed.Round(time.Millisecond))
	require.Less(t, share, 0.35)
	remove(t, a, burn.ID)
	remove(t, a, limit.ID)
	now, err = group.read(file)
	require.NoError(t, err)
	require.Equal(t, was, now)
}

func TestMemory(t *testing.T) {
	a := run(t, file(t, Target{Host: true}))
	before := residentOf(t, os.Getpid())
	st := add(t, a, `"fault": "memory", "size": "32MiB"`)
	held := residentOf(t, st.Keeper)
	t.Logf("asked 32MiB, the keeper holds %s (this test %s)", held, before)
	require.GreaterOrEqual(t, held, conf.Bytes(32<<20))
	require.Less(t, held, conf.Bytes(32<<20)+before+64<<20)
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", st.Keeper))
	require.NoError(t, err)
	require.Equal(t, "1000", strings.TrimSpace(string(score)), "the fault dies first")
	remove(t, a, st.ID)

	g := &ground{target: &Target{Host: true}, caps: Caps{Spare: 1 << 50}}
	_, _, err = (&Memory{Size: 1 << 20}).hold(g)
	require.ErrorContains(t, err, "stay free (caps.spare)")
}

func residentOf(t *testing.T, pid int) conf.Bytes {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(t, err)
	return conf.Bytes(pages * os.Getpagesize())
}

func TestMemoryLimit(t *testing.T) {
	name := newGroup(t, "memory")
	group, err := openGroup(name, "memory")
	if err != nil {
		t.Skip(err)
	}
	s := startService(t)
	enter(t, name, s.pid())
	a := run(t, file(t, Target{Cgroup: name}))
	file := "memory.max"
	if group.v1 {
		file = "memory.limit_in_bytes"
		_, err := a.Add(lease(t, `"fault": "memory-limit", "limit": "48MiB"`))
		require.ErrorContains(t, err, "only has limits that kill")
	}
	was, err := group.read(file)
	require.NoError(t, err)
	limit := add(t, a, `"fault": "memory-limit", "limit": "48MiB", "kill": true`)
	now, err := group.read(file)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(48<<20), now)

	_, err = (&MemoryLimit{Limit: 64 << 20, Kill: true}).plan(&ground{target: &Target{Cgroup: name}})
	require.ErrorContains(t, err, "limit: the target may use no more than 48MiB as it is")

	// More than there is: the one who takes it is killed, and not the service.
	_, err = a.Add(lease(t, `"fault": "memory", "size": "60MiB"`))
	require.ErrorContains(t, err, "its keeper died")
	require.Equal(t, "1 <nil>", s.ask("open 1"))
	remove(t, a, limit.ID)
	now, err = group.read(file)
	require.NoError(t, err)
	require.Equal(t, was, now)
}

func TestDiskFill(t *testing.T) {
	dir := testkit.SmallDisk(t, 4<<20)
	a := run(t, file(t, Target{Host: true, Dirs: []string{dir}}))
	free := func() int64 {
		var fs unix.Statfs_t
		require.NoError(t, unix.Statfs(dir, &fs))
		return int64(fs.Bfree) * fs.Bsize
	}
	empty := free()
	f := func(parameters string, left int64) {
		t.Helper()
		st := add(t, a, `"fault": "disk-fill", "dir": "`+dir+`"`+parameters)
		require.InDelta(t, left, free(), 8192)
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, names, "nothing that could be left behind")
		if left == 0 {
			require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "x"), make([]byte, 1<<20), 0o644), unix.ENOSPC)
			require.NoError(t, os.Remove(filepath.Join(dir, "x")))
		}
		remove(t, a, st.ID)
		require.Equal(t, empty, free())
	}
	f("", 0)
	f(`, "keep": "1MiB"`, 1<<20)
	f(`, "size": "1MiB"`, empty-1<<20)
	_, err := a.Add(lease(t, `"fault": "disk-fill", "size": "8MiB", "dir": "`+dir+`"`))
	require.ErrorContains(t, err, "are free")

	st := add(t, a, `"fault": "disk-fill", "dir": "`+dir+`"`)
	require.NoError(t, syscall.Kill(st.Keeper, syscall.SIGKILL))
	eventually(t, "the kernel frees what a killed keeper held", func() bool { return free() == empty })
}

// The disk of the system is never filled to its last.
func TestDiskFillSparesTheSystem(t *testing.T) {
	f, err := os.Open("/")
	require.NoError(t, err)
	defer f.Close()
	_, err = (&DiskFill{Dir: "/"}).room(f, Caps{Disk: 1 << 60, Spare: 1 << 20})
	require.ErrorContains(t, err, "is on the disk of the system")
}

func TestDiskError(t *testing.T) {
	// In mounts of its own, so that nobody else sees any of this.
	if os.Getenv("REDLANE_HOST_TEST_MOUNTS") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDiskError$", "-test.v")
		cmd.Env = append(os.Environ(), "REDLANE_HOST_TEST_MOUNTS=1", "TMPDIR="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if os.IsPermission(err) {
			t.Skipf("mounts of our own: %v", err)
		}
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "SKIP")
		return
	}
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir := filepath.Join(t.TempDir(), "a b") // a path that mountinfo writes differently
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kept"), []byte("kept"), 0o644))
	s := startService(t)
	a := run(t, file(t, Target{PidFile: s.pidFile(), Dirs: []string{dir}}))
	mounts := func() int {
		text, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		return strings.Count(string(text), "\n")
	}
	before := mounts()
	f := func(parameters, want string) {
		t.Helper()
		require.Equal(t, "<nil>", s.ask("write "+dir))
		st := add(t, a, `"fault": "disk-error", "dir": "`+dir+`"`+parameters)
		require.Contains(t, s.ask("write "+dir), want)
		remove(t, a, st.ID)
		require.Equal(t, "<nil>", s.ask("write "+dir))
		require.Equal(t, before, mounts())
		text, err := os.ReadFile(filepath.Join(dir, "kept"))
		require.NoError(t, err)
		require.Equal(t, "kept", string(text))
	}
	f("", "read-only file system")
	f(`, "error": "full"`, "no space left on device")

	// Also in the mounts of a process that has its own.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=daemon")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	stat, err := readStat(cmd.Process.Pid)
	require.NoError(t, err)
	step := Step{Do: "cover", Path: dir, Set: "size=65536,nr_inodes=1024", Was: "redlane-x", Proc: stat.Proc}
	require.NoError(t, doAll([]Step{step}))
	theirs := fmt.Sprintf("/proc/%d/root%s/kept", cmd.Process.Pid, dir)
	require.NoFileExists(t, theirs)
	require.FileExists(t, filepath.Join(dir, "kept"))
	require.Equal(t, before, mounts())
	require.NoError(t, undoAll([]Step{step}))
	require.NoError(t, undoAll([]Step{step}))
	require.FileExists(t, theirs)
}

func TestIOLimit(t *testing.T) {
	dir := t.TempDir()
	device, err := diskOf(dir)
	if err != nil {
		t.Skip(err)
	}
	name := newGroup(t, "blkio", "io")
	group, err := openGroup(name, "io")
	if err != nil {
		t.Skip(err)
	}
	s := startService(t)
	enter(t, name, s.pid())
	a := run(t, file(t, Target{Cgroup: name, Dirs: []string{dir}}))
	files := []string{"io.max"}
	if group.v1 {
		files = []string{"blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device"}
	}
	read := func() (all string) {
		for _, f := range files {
			text, err := group.read(f)
			require.NoError(t, err)
			all += text + "\n"
		}
		return all
	}
	was := read()
	st := add(t, a, `"fault": "io-limit", "dir": "`+dir+`", "write": "1MiB", "read_ops": 100`)
	require.Contains(t, read(), device)
	require.Contains(t, read(), "1048576")
	remove(t, a, st.ID)
	require.Equal(t, was, read())

	_, err = diskOf("/proc")
	require.ErrorContains(t, err, "which cannot be slowed down")
}

func TestIOLimitSlows(t *testing.T) {
	disk := newDisk(t)
	name := newGroup(t, "blkio", "io")
	s := startService(t)
	enter(t, name, s.pid())
	var st unix.Stat_t
	require.NoError(t, unix.Stat(disk, &st))
	plan, err := (&IOLimit{Write: 1 << 20}).steps(name, fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
	if err != nil {
		t.Skip(err)
	}
	write := func() time.Duration {
		text, problem, _ := strings.Cut(s.ask("direct "+disk), " ")
		require.Equal(t, "<nil>", problem)
		took, err := time.ParseDuration(text)
		require.NoError(t, err)
		return took
	}
	free := write()
	require.NoError(t, doAll(plan))
	slow := write()
	require.NoError(t, undoAll(plan))
	t.Logf("1MiB at 1MiB/s took %s; without a limit %s, and after it %s", slow, free, write())
	require.Greater(t, slow, 700*time.Millisecond)
}

// A cgroup that the agent is in cannot be hit, however it is named.
func TestNotOurOwnCgroup(t *testing.T) {
	text, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if parts[2] != "/" {
			_, err := openGroup(parts[2], strings.Split(parts[1], ",")[0])
			require.Error(t, err)
		}
	}
	_, err = openGroup("", "")
	require.ErrorContains(t, err, "the agent is in it")
}

func TestCoresOf(t *testing.T) {
	f := func(text string, want float64, limited bool) {
		t.Helper()
		got, ok := coresOf(text, 100_000)
		require.Equal(t, limited, ok)
		if limited {
			require.InDelta(t, want, got, 1e-9)
		}
	}
	f("max 100000", 0, false)
	f("20000 50000", 0.4, true)
	f("-1", 0, false)
	f("20000", 0.2, true)
	f("", 0, false)
	f("1 0", 0, false)
}
