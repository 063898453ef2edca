package host

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/cgroup"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/testkit"
)

const roleEnv = "REDLANE_HOST_TEST_ROLE"

// The race detector waits a second at the end of every process, in case others are about to race.
const noWait = "atexit_sleep_ms=0"

var keeperRole = []string{roleEnv + "=keeper", "GORACE=" + noWait} // a keeper is given nothing else

// The test binary is also the keeper, an agent that can be killed, and the services that suffer.
func TestMain(m *testing.M) {
	switch role := os.Getenv(roleEnv); role {
	case "":
		os.Setenv("GORACE", noWait)
		goleak.VerifyTestMain(m)
	default:
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
	}
}

func play(role string) error {
	switch role {
	case "keeper":
		return Keep(context.Background(), os.Stdin, os.Stdout, clock.System)
	case "agent":
		file, err := Load(os.Getenv("REDLANE_HOST_TEST_CONFIG"))
		if err != nil {
			return err
		}
		a, err := New(Config{File: file, Keeper: []string{"/proc/self/exe"}, Env: keeperRole})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(ln.Addr())
		go http.Serve(ln, a.Handler())
		return a.Run(context.Background())
	case "service": // answers each line with what its clock and its open files say
		now := clock.System
		if name := os.Getenv(clock.ShiftEnv); name != "" {
			shifted, err := clock.OpenShifted(clock.System, name)
			if err != nil {
				return err
			}
			now = shifted
		}
		fmt.Println("ready")
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			switch word, arg, _ := strings.Cut(lines.Text(), " "); word {
			case "off":
				fmt.Println(now.Now().Sub(clock.System.Now()).Round(time.Second))
			case "open": // as many as it can, up to arg
				most, _ := strconv.Atoi(arg)
				var open []*os.File
				var err error
				for err == nil && len(open) < most {
					var f *os.File
					if f, err = os.Open("/dev/null"); err == nil {
						open = append(open, f)
					}
				}
				fmt.Println(len(open), err)
				for _, f := range open {
					f.Close()
				}
			case "direct": // writes 1 MiB past the page cache
				began := time.Now()
				err := direct(arg)
				fmt.Println(time.Since(began), err)
			case "write":
				fmt.Println(os.WriteFile(filepath.Join(arg, "note"), make([]byte, 256<<10), 0o644))
			}
		}
		return lines.Err()
	case "daemon": // ends by a signal only
		for {
			syscall.Pause()
		}
	}
	return fmt.Errorf("no such role")
}

// service is a process that the test made.
type service struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startService(t testing.TB, env ...string) *service {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), roleEnv+"=service"), env...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	s := &service{t, cmd, in, bufio.NewScanner(out)}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.True(t, s.out.Scan())
	require.Equal(t, "ready", s.out.Text())
	return s
}

func (s *service) ask(line string) string {
	s.t.Helper()
	_, err := fmt.Fprintln(s.in, line)
	require.NoError(s.t, err)
	require.True(s.t, s.out.Scan(), "the service has ended")
	return s.out.Text()
}

func (s *service) pid() int { return s.cmd.Process.Pid }

// state is the letter in /proc.
func (s *service) state() string {
	st, err := readStat(s.pid())
	require.NoError(s.t, err)
	return string(st.state)
}

func (s *service) pidFile() string {
	name := filepath.Join(s.t.TempDir(), "pid")
	require.NoError(s.t, os.WriteFile(name, []byte(strconv.Itoa(s.pid())+"\n"), 0o644))
	return name
}

// file is a configuration with one target called svc, in lane red.
func file(t testing.TB, target Target) *File {
	t.Helper()
	target.Lane, target.Name = "red", "svc"
	require.NoError(t, target.check())
	f := &File{State: filepath.Join(t.TempDir(), "state"), Targets: map[string]*Target{"svc": &target}}
	require.NoError(t, f.check())
	return f
}

// run runs an agent until the test ends.
func run(t testing.TB, f *File) *Agent {
	t.Helper()
	a, err := New(Config{File: f, Keeper: []string{"/proc/self/exe"}, Env: keeperRole, Log: func(line string) { t.Log(line) }})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		left, err := filepath.Glob(filepath.Join(f.State, "*.undo"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
	return a
}

// lease is one on svc, with the fault and its parameters as JSON.
func lease(t testing.TB, fault string) Lease {
	t.Helper()
	l, err := ParseLease([]byte(`{"target": "svc", "lane": "red", "ttl": "1m", ` + fault + `}`))
	require.NoError(t, err)
	return l
}

func add(t testing.TB, a *Agent, fault string) Status {
	t.Helper()
	s, err := a.Add(lease(t, fault))
	require.NoError(t, err)
	require.Equal(t, Live, s.State)
	return s
}

func remove(t testing.TB, a *Agent, id string) {
	t.Helper()
	s, err := a.Remove(id)
	require.NoError(t, err)
	require.Equal(t, Removed, s.State)
}

func status(t testing.TB, a *Agent, id string) Status {
	t.Helper()
	for _, s := range a.List() {
		if s.ID == id {
			return s
		}
	}
	require.FailNow(t, "no lease "+id)
	return Status{}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 30*time.Second, 10*time.Millisecond, what)
}

// newGroup makes a cgroup of the test's own in every tree that has one of the controllers, and in v2's.
func newGroup(t testing.TB, controllers ...string) string {
	t.Helper()
	m, err := cgroup.Find()
	require.NoError(t, err)
	name := fmt.Sprintf("redlane-test-%d-%s", os.Getpid(), strings.ToLower(filepath.Base(t.TempDir())))
	roots := []string{m.Unified}
	for _, c := range controllers {
		roots = append(roots, m.V1[c])
	}
	made := 0
	for _, root := range roots {
		if root == "" {
			continue
		}
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("no cgroup of our own: %v", err)
		}
		made++
		t.Cleanup(func() {
			eventually(t, "the cgroup can be removed", func() bool { return removeFile(dir) == nil })
		})
		for _, c := range controllers {
			_ = writeFile(filepath.Join(root, "cgroup.subtree_control"), "+"+c) // where the tree is v2 and has it
		}
	}
	if made == 0 {
		t.Skip("no cgroups here")
	}
	return name
}

// enter puts a process into the group, in all trees that have it.
func enter(t testing.TB, name string, pid int) {
	t.Helper()
	m, err := cgroup.Find()
	require.NoError(t, err)
	roots := map[string]bool{m.Unified: true}
	for _, root := range m.V1 {
		roots[root] = true
	}
	for root := range roots {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil && root != "" {
			require.NoError(t, writeFile(filepath.Join(root, name, "cgroup.procs"), strconv.Itoa(pid)))
		}
	}
}

func direct(device string) error {
	f, err := os.OpenFile(device, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	page, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) // aligned
	if err != nil {
		return err
	}
	defer unix.Munmap(page)
	for at := int64(0); at < 1<<20 && err == nil; at += int64(len(page)) {
		_, err = f.WriteAt(page, at)
	}
	return err
}

// newDisk is a block device of 4 MiB on a small disk of the test's own.
func newDisk(t testing.TB) string {
	t.Helper()
	back, err := os.Create(filepath.Join(testkit.SmallDisk(t, 8<<20), "disk"))
	require.NoError(t, err)
	defer back.Close()
	require.NoError(t, back.Truncate(4<<20))
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop devices: %v", err)
	}
	defer ctl.Close()
	n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
	require.NoError(t, err)
	name := fmt.Sprintf("/dev/loop%d", n)
	dev, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop devices: %v", err)
	}
	// It lasts for as long as somebody has it open, also when the test is killed.
	config := unix.LoopConfig{Fd: uint32(back.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &config); err != nil {
		dev.Close()
		t.Skipf("no loop devices: %v", err)
	}
	t.Cleanup(func() { dev.Close() })
	return name
}
