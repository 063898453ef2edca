// Package chtest runs a real ClickHouse for tests: the launcher as it is shipped, on a free port and in a
// directory of the test.
//
//	func TestMain(m *testing.M) { chtest.Main(m) }
//	func TestX(t *testing.T)    { s := chtest.Start(t); use(s.Addr); s.KillEngine(); ... }
//
// Where the library is not installed, tests that need it are skipped and say how to install it.
package chtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/chserver"
)

// A Server is one running launcher.
type Server struct {
	Addr string // HOST:PORT of the native protocol; it stays the same over Restart
	Data string

	t     testing.TB
	flags []string
	mu    struct {
		sync.Mutex
		cmd    *exec.Cmd
		stderr *bytes.Buffer
		done   chan struct{} // closed when cmd has ended
	}
}

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(tmp, chserver.LauncherName)
	cmd := exec.Command("go", "build", "-o", path, "github.com/redlane/redlane/cmd/redlane-clickhouse")
	// Without the race detector, whatever the test was built with: its shadow memory and the engine do
	// not share an address space.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the launcher: %w: %s", err, out)
	}
	return path, nil
})

var tmp string // where the launcher is built, for the time of the tests

// Main runs the tests of a package, checks for leaked goroutines and cleans up.
func Main(m *testing.M) {
	goleak.VerifyTestMain(main{m})
}

// Around is m with room for the launcher, for packages whose TestMain has more to do than Main.
func Around(m interface{ Run() int }) interface{ Run() int } { return main{m} }

type main struct{ m interface{ Run() int } }

func (w main) Run() int {
	var err error
	if tmp, err = os.MkdirTemp("", "chtest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(tmp)
	return w.m.Run()
}

// Library returns the path of libchdb.so, or skips the test.
func Library(t testing.TB) string {
	t.Helper()
	lib, err := chserver.FindLibrary()
	if err != nil {
		t.Skip(err)
	}
	return lib
}

// Launcher builds the launcher once and returns its path.
func Launcher(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start runs a server until the test ends. flags are added to the launcher's own.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	s := &Server{t: t, Data: filepath.Join(t.TempDir(), "clickhouse"), flags: append(flags, "--library", Library(t))}
	s.start("127.0.0.1:0")
	t.Cleanup(func() {
		if s.Running() {
			s.Stop()
		}
	})
	return s
}

func (s *Server) start(listen string) {
	s.t.Helper()
	args := append([]string{"--listen", listen, "--data", s.Data}, s.flags...)
	cmd := exec.Command(Launcher(s.t), args...)
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ready on ")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		<-done
		s.t.Fatalf("the server did not start: %v %q: %s", err, line, stderr)
	}
	s.Addr = addr
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.cmd, s.mu.stderr, s.mu.done = cmd, stderr, done
}

// Running reports whether the launcher has not ended.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.mu.done:
		return false
	default:
		return true
	}
}

// Stop ends the server with SIGTERM and fails the test when it does not end well.
func (s *Server) Stop() {
	s.t.Helper()
	if status, stderr := s.signal(syscall.SIGTERM); status != 0 {
		s.t.Errorf("the server ended with status %d: %s", status, stderr)
	}
}

// Kill ends the launcher, and with it the engine, with SIGKILL.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Restart starts the server again on the same address and directory.
func (s *Server) Restart() {
	s.t.Helper()
	s.start(s.Addr)
}

func (s *Server) signal(sig syscall.Signal) (status int, stderr string) {
	s.mu.Lock()
	cmd, done, out := s.mu.cmd, s.mu.done, s.mu.stderr
	s.mu.Unlock()
	_ = cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(40 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// EnginePID is the process id of the engine, or 0 while it is down.
func (s *Server) EnginePID() int {
	s.mu.Lock()
	pid := s.mu.cmd.Process.Pid
	s.mu.Unlock()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				return child
			}
		}
	}
	return 0
}

// KillEngine ends the engine alone with SIGKILL; the launcher brings it back. It reports whether there
// was one.
func (s *Server) KillEngine() bool {
	pid := s.EnginePID()
	return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}
