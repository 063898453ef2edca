package restart

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
)

var times = flag.Int("times", 5, "restarts, and reloads, of each kind")

func TestRestartsLoseNothing(t *testing.T) {
	program := filepath.Join(t.TempDir(), "redlane")
	out, err := exec.Command("go", "build", "-o", program, "../../cmd/redlane").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, engine := range choose.Names {
		for _, secure := range []bool{false, true} {
			name := engine + "/clear"
			if secure {
				name = engine + "/tls"
			}
			t.Run(name, func(t *testing.T) { losesNothing(t, program, engine, secure) })
		}
	}
}

func losesNothing(t *testing.T, program, engine string, secure bool) {
	l := &lane{t: t, program: program, engine: engine, dir: t.TempDir(), listen: testkit.FreeAddr(t)}
	l.nginx = testkit.StartNginx(t, testkit.NginxConfig{}).Addr
	load := &clients{addr: l.listen, stopped: make(chan struct{})}
	url := "http://" + l.listen + "/"
	if secure {
		ca := testkit.NewCA(t)
		l.cert, l.key = ca.Leaf(t, "web", "host.test")
		load.tls = &tls.Config{RootCAs: ca.Pool(), ServerName: "host.test"}
		url = "https://" + l.listen + "/"
	}
	l.configure(0)
	l.start()
	testkit.WaitForPort(t, l.listen)

	wrk := startWrk(t, url)
	load.start(4, time.Millisecond, true)
	load.start(16, 400*time.Millisecond, true)
	load.start(2, 50*time.Millisecond, false)
	for i := range *times {
		time.Sleep(50 * time.Millisecond) // some load in between, too
		l.configure(i + 1)
		l.reload()
		l.start()
	}
	load.stop()
	requests, failed, said := wrk()
	l.stop()

	if e := load.first.Load(); e != nil {
		t.Error(*e)
	}
	requests, failed = requests+load.requests.Load(), failed+load.failed.Load()
	fmt.Printf("%-16s restarts %d, reloads %d, requests %d, failed %d\n", strings.TrimPrefix(t.Name(), "TestRestartsLoseNothing/"), *times, *times, requests, failed)
	require.Zero(t, failed, said)
	require.Greater(t, requests, int64(100*(*times)), "hardly any load")
}

// A lane is one proxy, in the process that serves now and those that drain.
type lane struct {
	t                    *testing.T
	program, engine, dir string
	listen, nginx        string
	cert, key            string
	now                  *process
	ended                sync.WaitGroup
}

// configure writes a configuration, with another listener beside the one under load every other time.
func (l *lane) configure(n int) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %d\ntimeouts: {drain: 2s}\nservices:\n  web:\n    listen: %q\n    endpoints: [%q]\n", n, l.listen, l.nginx)
	if l.cert != "" {
		fmt.Fprintf(&b, "    tls: {cert: %q, key: %q}\n", l.cert, l.key)
	}
	if n%2 == 1 {
		fmt.Fprintf(&b, "  other: {listen: \"127.0.0.1:0\", endpoints: [%q]}\n", l.nginx)
	}
	require.NoError(l.t, os.WriteFile(filepath.Join(l.dir, "mesh.yaml"), []byte(b.String()), 0o644))
}

// start starts a process, and returns when it serves and the one before drains.
func (l *lane) start() {
	l.t.Helper()
	p := &process{cmd: exec.Command(l.program, "proxy", "--engine", l.engine, "--takeover", "door")}
	p.cmd.Dir = l.dir // a unix socket's path must be short
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not even a killed test leaves it behind
	require.NoError(l.t, p.cmd.Start())
	was := l.now
	l.now = p
	l.ended.Go(func() {
		if err := p.cmd.Wait(); err != nil {
			l.t.Errorf("%v: %s", err, p.out.String())
		}
		if text := p.out.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "level=WARN") {
			l.t.Error(text)
		}
	})
	if was == nil {
		p.await(l.t, " on ")
		return
	}
	p.await(l.t, "took over")
	was.await(l.t, "handed over")
}

// reload makes the process that serves now read its configuration.
func (l *lane) reload() {
	l.t.Helper()
	before := l.now.count("configuration in force")
	require.NoError(l.t, l.now.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(l.t, func() bool { return l.now.count("configuration in force") > before }, 10*time.Second, time.Millisecond, l.now)
}

// stop ends the last process and waits for all of them: each must have ended with exit code 0.
func (l *lane) stop() {
	l.t.Helper()
	require.NoError(l.t, l.now.cmd.Process.Signal(syscall.SIGTERM))
	l.ended.Wait()
}

type process struct {
	cmd *exec.Cmd
	out output
}

func (p *process) String() string         { return p.out.String() }
func (p *process) count(words string) int { return strings.Count(p.out.String(), words) }

func (p *process) await(t *testing.T, words string) {
	t.Helper()
	require.Eventually(t, func() bool { return p.count(words) > 0 }, 20*time.Second, time.Millisecond, p)
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
