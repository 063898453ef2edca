package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sys/unix"
)

// importTargets is a recording of n requests.
func importTargets(t *testing.T, n int) (tapeDir string) {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"method\":\"GET\",\"url\":\"http://shop/packets/%d\"}\n", i)
	}
	file := filepath.Join(dir, "targets.json")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	tapeDir = filepath.Join(dir, "eve")
	out, err := exec.Command("redlane", "import", file, "--to", tapeDir, "--format", "vegeta").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return tapeDir
}

// A pty is a terminal and what it shows.
type pty struct {
	master, slave *os.File
	mu            sync.Mutex
	raw           []byte
	done          chan struct{}
}

func openPTY(t *testing.T, columns, rows uint16) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	p := &pty{master: master, slave: slave, done: make(chan struct{})}
	p.resize(t, columns, rows)
	go func() {
		defer close(p.done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.raw = append(p.raw, buf[:n]...)
			p.mu.Unlock()
			if err != nil { // the last slave was closed
				return
			}
		}
	}()
	return p
}

func (p *pty) resize(t *testing.T, columns, rows uint16) {
	require.NoError(t, unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}))
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.raw)
}

// end waits until everything was read. The program has ended.
func (p *pty) end() {
	p.slave.Close()
	<-p.done
	p.master.Close()
}

var escape = regexp.MustCompile(`\x1b\[([?0-9;]*)([A-Za-z])`)

// shown is what a terminal of so many columns shows after raw, and whether its cursor is visible. It knows what we
// send, and fails at anything else.
func shown(t *testing.T, raw string, columns int) (lines []string, cursor bool) {
	t.Helper()
	screen := [][]rune{nil}
	row, col, cursor := 0, 0, true
	for len(raw) > 0 {
		if raw[0] == '\x1b' {
			m := escape.FindStringSubmatch(raw)
			require.NotNil(t, m, "%q", raw[:min(20, len(raw))])
			require.True(t, strings.HasPrefix(raw, m[0]))
			switch m[2] {
			case "A":
				n, err := strconv.Atoi(m[1])
				require.NoError(t, err)
				require.GreaterOrEqual(t, row, n, "drawn above its own block")
				row -= n
			case "K":
				screen[row] = screen[row][:min(col, len(screen[row]))]
			case "J":
				screen = append(screen[:row], screen[row][:min(col, len(screen[row]))])
			case "h", "l":
				if m[1] == "?25" {
					cursor = m[2] == "h"
				}
			case "m":
			default:
				t.Fatalf("escape %q", m[0])
			}
			raw = raw[len(m[0]):]
			continue
		}
		c, n := utf8.DecodeRuneInString(raw)
		raw = raw[n:]
		switch c {
		case '\r':
			col = 0
		case '\n':
			if row++; row == len(screen) {
				screen = append(screen, nil)
			}
		default:
			require.Less(t, col, columns, "a line wraps")
			for len(screen[row]) <= col {
				screen[row] = append(screen[row], ' ')
			}
			screen[row][col] = c
			col++
		}
	}
	for _, line := range screen {
		lines = append(lines, string(line))
	}
	return lines, cursor
}

// startReplay runs a replay of n requests at 100/s whose standard error is p.
func startReplay(t *testing.T, p *pty, n int, target http.HandlerFunc, env []string, more ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(target)
	t.Cleanup(server.Close)
	args := append([]string{"replay", importTargets(t, n), "--to", server.URL, "--lane", "red", "--unsafe-target", "--rate", "100/s", "--lag-limit", "10s"}, more...)
	cmd, out = exec.Command("redlane", args...), new(bytes.Buffer)
	cmd.Env = append(os.Environ(), append([]string{"TERM=xterm", "CI=", "NO_COLOR=", "LC_ALL=C.UTF-8"}, env...)...)
	cmd.Stdout, cmd.Stderr = out, p.slave
	require.NoError(t, cmd.Start())
	return cmd, out
}

func ok(http.ResponseWriter, *http.Request) {}

// A terminal shows one block, redrawn in place, cut to its width, and gets its cursor back.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	f := func(columns, rows uint16, env []string, look func(t *testing.T, raw string, lines []string)) {
		t.Run(fmt.Sprint(columns, rows, env), func(t *testing.T) {
			t.Parallel()
			p := openPTY(t, columns, rows)
			cmd, _ := startReplay(t, p, 250, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "7") {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}, env)
			require.NoError(t, cmd.Wait())
			p.end()
			lines, cursor := shown(t, p.text(), int(columns))
			require.True(t, cursor)
			look(t, p.text(), lines)
		})
	}
	f(100, 30, nil, func(t *testing.T, raw string, lines []string) {
		require.Equal(t, 2, strings.Count(raw, "rate "), "drawn twice")
		text := strings.Join(lines, "\n")
		require.Regexp(t, `^redlane replay 100/s → http://127.0.0.1:\d+, lane red  2s, \ds left\n`+
			`rate +asked \d+/s  sent \d+/s  [▁▂▃▄▅▆▇█]{2}\n`+
			`latency +from due p50 \S+ p99 \S+   lag p50 \S+ p99 \S+\n`+
			`requests +in flight \d+  answered \d+  failed \d+\n`+
			`status +200 ×\d+  503 ×\d+\n`+
			`errors +connect 0  reset 0  timeout 0  protocol 0  5xx \d+\n`+
			`ledger +read 250 = due \d+ \+ ahead \d+ \+ not sendable 0\n$`, text)
		require.Contains(t, raw, "\x1b[31mfailed")
		require.Contains(t, raw, "\x1b[2mrate")
	})
	f(40, 30, nil, func(t *testing.T, _ string, lines []string) {
		require.Len(t, lines, 8)
		for _, line := range lines {
			require.Less(t, utf8.RuneCountInString(line), 40)
		}
		require.True(t, strings.HasPrefix(lines[4], "status"))
	})
	f(100, 4, nil, func(t *testing.T, _ string, lines []string) { require.Len(t, lines, 4, "three lines and the cursor") })
	f(100, 30, []string{"NO_COLOR=1"}, func(t *testing.T, raw string, lines []string) {
		require.NotRegexp(t, `\x1b\[[0-9;]*m`, raw)
		require.Len(t, lines, 8)
	})
	f(100, 30, []string{"LC_ALL=C"}, func(t *testing.T, raw string, _ []string) {
		require.NotRegexp(t, `[→▁▂▃▄▅▆▇█]`, raw)
	})
	for _, plain := range []string{"TERM=dumb", "CI=true"} {
		f(200, 30, []string{plain}, func(t *testing.T, raw string, lines []string) {
			require.NotContains(t, raw, "\x1b")
			require.Len(t, lines, 3)
			require.Regexp(t, `^   1s  due \d+/s  sent \d+/s  answered \d+`, lines[0])
		})
	}
}

// A terminal that becomes narrower while a block is on it: the next one starts where the first line is now.
func TestProgressOnATerminalThatShrinks(t *testing.T) {
	columns, wrote := 100, new(bytes.Buffer)
	s := &screen{w: wrote, size: func() (int, int) { return columns, 30 }}
	s.draw([]string{strings.Repeat("x", 90), "short"})
	columns = 40
	s.draw([]string{strings.Repeat("y", 90), "short"})
	require.Contains(t, wrote.String(), "\r\x1b[4A", "90 columns have become three lines, and one is short")
	require.Contains(t, wrote.String(), strings.Repeat("y", 39)+eraseLine)
	require.NotContains(t, wrote.String(), strings.Repeat("y", 40))
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v", err)
	return exit.ExitCode()
}

// Ctrl-C ends a replay with its report and code 3: what is on its way is waited for, unless Ctrl-C comes again.
func TestInterruptedReplayReports(t *testing.T) {
	t.Parallel()
	f := func(name string, sig syscall.Signal, times int, dropped string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openPTY(t, 100, 30)
			hold := make(chan struct{})
			var once sync.Once
			release := func() { once.Do(func() { close(hold) }) }
			arrived := make(chan struct{}, 10_000)
			cmd, out := startReplay(t, p, 3000, func(http.ResponseWriter, *http.Request) {
				arrived <- struct{}{}
				<-hold
			}, nil)
			defer release()
			for range 20 {
				<-arrived
			}
			begun := time.Now()
			require.NoError(t, cmd.Process.Signal(sig))
			require.Eventually(t, func() bool { return strings.Contains(p.text(), "stopping: waiting for answers") }, 5*time.Second, time.Millisecond)
			if times == 2 {
				require.NoError(t, cmd.Process.Signal(sig))
			} else {
				release()
			}
			require.Equal(t, exitStopped, exitCode(t, cmd.Wait()))
			require.Less(t, time.Since(begun), 8*time.Second, "the grace is 10 s")
			p.end()
			lines, cursor := shown(t, p.text(), 100)
			require.True(t, cursor)
			require.Contains(t, strings.Join(lines, "\n"), "redlane: replay: interrupted")
			require.Regexp(t, `(?m)^replay: accepted 3000 = passed \d+ \+ filtered 0 \+ sampled out 0 \+ dropped \d+ \{`+dropped+`\}, balanced$`, out.String())
			require.Contains(t, out.String(), "GET /packets/*")
			require.Regexp(t, `(?m)^VALID$`, out.String())
		})
	}
	f("once", syscall.SIGINT, 1, `interrupted: \d+`)
	f("terminated", syscall.SIGTERM, 1, `interrupted: \d+`)
	f("twice", syscall.SIGINT, 2, `interrupted: \d+, unanswered: \d+`)
}

// Killed, a replay leaves a stream that vegeta reads up to less than two seconds before.
func TestKilledReplayLeavesItsStream(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x.bin", "x.csv", "x.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openPTY(t, 100, 30)
			path := filepath.Join(t.TempDir(), name)
			cmd, _ := startReplay(t, p, 3000, ok, nil, "--stream", path)
			require.Eventually(t, func() bool {
				info, err := os.Stat(path)
				return err == nil && info.Size() > 0
			}, 20*time.Second, time.Millisecond)
			time.Sleep(100 * time.Millisecond) // not in the middle of that write, and long before the next
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
			p.end()
			file, err := os.Open(path)
			require.NoError(t, err)
			defer file.Close()
			dec := vegeta.DecoderFor(file)
			require.NotNil(t, dec)
			n := 0
			for {
				var r vegeta.Result
				if err = dec.Decode(&r); err != nil {
					break
				}
				require.EqualValues(t, 200, r.Code)
				n++
			}
			require.EqualError(t, err, "EOF", "and no half record")
			require.GreaterOrEqual(t, n, 50)
		})
	}
}
