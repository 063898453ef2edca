package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/internal/testkit"
)

// A besieged is a proxy in a process of its own, in front of nginx.
type besieged struct {
	addr, admin string
	origin      string // nginx
	cmd         *exec.Cmd
	out         bytes.Buffer
}

// besiege starts one. edit, which may be nil, changes its command.
func besiege(t testing.TB, timeouts string, edit func(cmd *exec.Cmd)) *besieged {
	t.Helper()
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	require.NoError(t, os.WriteFile(big, nil, 0o644))
	require.NoError(t, os.Truncate(big, 64<<20))
	require.NoError(t, os.Chmod(dir, 0o755))
	self := testkit.FreeAddr(t)
	testkit.StartNginx(t, testkit.NginxConfig{
		// Behind itself it wants a whole body before it answers. The file is sent through a small socket, so that
		// what waits, waits at the proxy.
		Server: fmt.Sprintf(`listen %s sndbuf=64k;
    location = /post { client_max_body_size 1g; proxy_pass http://%[1]s/; }
    location = /big { default_type text/plain; alias %s; }`, self, big),
	})
	b := &besieged{addr: testkit.FreeAddr(t), admin: testkit.FreeAddr(t), origin: self}
	mesh := filepath.Join(dir, "mesh.yaml")
	text := fmt.Sprintf("admin: %q\ntimeouts: {%s}\nservices:\n  web: {listen: %q, endpoints: [%q]}\n",
		b.admin, timeouts, b.addr, self)
	require.NoError(t, os.WriteFile(mesh, []byte(text), 0o644))
	b.cmd = exec.Command("redlane", "proxy", "-c", mesh)
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if edit != nil {
		edit(b.cmd)
	}
	require.NoError(t, b.cmd.Start())
	t.Cleanup(func() {
		b.cmd.Process.Signal(syscall.SIGTERM)
		if err := b.cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the proxy ended with %v: %s", err, &b.out)
		}
	})
	testkit.WaitForPort(t, b.addr)
	return b
}

// peakMemory is the most that was resident so far, in bytes.
func (b *besieged) peakMemory(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	require.NoError(t, err)
	return number(t, regexp.MustCompile(`VmHWM:\s+(\d+) kB`), text) << 10
}

// metric is the sum of a metric's series whose labels contain all of what is given.
func (b *besieged) metric(t testing.TB, name string, labels ...string) (sum int) {
	t.Helper()
	resp, err := http.Get("http://" + b.admin + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(series, name+"{") && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			sum += int(n)
		}
	}
	return sum
}

// impatient shortens a test.
const impatient = "header: 400ms, request: 1s, idle: 1s, drain: 1s"

// attack runs every attack with n clients in all, until the function it returns is called.
func attack(addr string, n int) (attacks map[string]*testkit.Attack, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	attacks = map[string]*testkit.Attack{}
	var running sync.WaitGroup
	all := testkit.Attacks()
	for i, a := range all {
		attacks[a.Name] = a
		running.Go(func() { a.Run(ctx, addr, (n+i)/len(all)) })
	}
	return attacks, func() { cancel(); running.Wait() }
}

// wrk drives good traffic, all of which must succeed, and returns the 99th percentile.
func (b *besieged) wrk(t testing.TB, d time.Duration) time.Duration {
	t.Helper()
	return wrk(t, b.addr, d)
}

func wrk(t testing.TB, addr string, d time.Duration) time.Duration {
	t.Helper()
	path, err := exec.LookPath("wrk")
	if err != nil {
		t.Skip("wrk is not installed")
	}
	out, err := exec.Command(path, "-t1", "-c16", "--latency", fmt.Sprintf("-d%.0fs", d.Seconds()), "http://"+addr+"/").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "Socket errors")
	require.NotContains(t, string(out), "Non-2xx")
	require.Positive(t, number(t, regexp.MustCompile(`(\d+) requests in`), out))
	m := regexp.MustCompile(`\s99%\s+([\d.]+[a-z]+)\s`).FindSubmatch(out) // not the share within a standard deviation, such as 93.99%
	require.NotNil(t, m, "%s", out)
	p99, err := time.ParseDuration(string(m[1]))
	require.NoError(t, err)
	return p99
}

// 24 clients that mean harm cost others nothing but time: good requests succeed, every refusal is counted,
// memory stays bounded.
func TestHostileClients(t *testing.T) {
	b := besiege(t, impatient, nil)
	attacks, stop := attack(b.addr, 24)
	p99 := b.wrk(t, 4*time.Second)
	stop()
	t.Logf("p99 %s, peak memory %d MiB", p99, b.peakMemory(t)>>20)
	if limit := 96 << 20; !invariant.On {
		require.Less(t, b.peakMemory(t), limit)
	}

	flag := func(flag string) int { return b.metric(t, "redlane_request_flags_total", `flag="`+flag+`"`) }
	closed := func(reason string) int { return b.metric(t, "redlane_connections_closed_total", `reason="`+reason+`"`) }
	counted := func(counted, slack int, names ...string) {
		t.Helper()
		done := 0
		for _, name := range names {
			n := int(attacks[name].Done.Load())
			require.Positive(t, n, name)
			t.Logf("%s: %d, %d of them refused with an answer", name, n, attacks[name].Refused.Load())
			done += n
		}
		require.InDelta(t, done, counted, float64(slack), "counted for %q", names)
	}
	// What was under way when the attack stopped may have been counted: 3 clients attack in each way, and a head
	// that is slow or endless is left partway.
	counted(flag("DPE"), 9, "garbage", "TLS", "endless head")
	counted(flag("DT"), 12, "slow head", "slow body", "never reads", "pipelines, never reads")
	counted(closed("partway"), 9, "resets")
	counted(closed("idle"), 3, "idle")
	for _, name := range []string{"garbage", "TLS", "slow head", "slow body"} {
		require.Equal(t, attacks[name].Done.Load(), attacks[name].Refused.Load(), "%s: each is told why", name)
	}
}

// BenchmarkHostile is how much longer good requests take among 24 clients that mean harm: medians over rounds of
// ratios of 99th percentiles. The clients also take processor time from wrk and nginx, whoever they attack; so
// there is a control, in which a second proxy is attacked, and a peer, HAProxy with the same timeouts.
func BenchmarkHostile(b *testing.B) {
	p, elsewhere := besiege(b, impatient, nil), besiege(b, impatient, nil)
	peer := startHAProxy(b, p.origin)
	p99 := func(good, attacked string) time.Duration {
		if attacked != "" {
			_, stop := attack(attacked, 24)
			defer stop()
		}
		return wrk(b, good, 3*time.Second)
	}
	p99(p.addr, "")
	ratios := map[string][]float64{}
	for range b.N {
		for range 5 {
			alone, control, among := p99(p.addr, ""), p99(p.addr, elsewhere.addr), p99(p.addr, p.addr)
			theirs, theirsAmong := p99(peer, ""), p99(peer, peer)
			b.Logf("p99 %s, among hostile clients %s, with these at another proxy %s; HAProxy %s, among them %s",
				alone, among, control, theirs, theirsAmong)
			for name, pair := range map[string][2]time.Duration{
				"p99-ratio":         {among, alone},
				"p99-ratio-control": {control, alone},
				"p99-to-control":    {among, control},
				"p99-ratio-haproxy": {theirsAmong, theirs},
			} {
				ratios[name] = append(ratios[name], float64(pair[0])/float64(pair[1]))
			}
		}
	}
	for name, r := range ratios {
		slices.Sort(r)
		b.ReportMetric(r[len(r)/2], name)
	}
	b.ReportMetric(0, "ns/op")
}

// startHAProxy starts one with impatient's timeouts in front of origin and returns its address.
func startHAProxy(t testing.TB, origin string) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	addr, file := testkit.FreeAddr(t), filepath.Join(t.TempDir(), "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 1s
  timeout http-request 400ms
  timeout client 1s
  timeout server 1s
frontend in
  bind %s
  default_backend app
backend app
  server app %s
`, addr, origin), 0o600))
	cmd := exec.Command(path, "-db", "-f", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	testkit.WaitForPort(t, addr)
	return addr
}
