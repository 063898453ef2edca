package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
)

// proxyUser runs the proxy in these tests; programs run as root, and are intercepted.
const proxyUser = 13370

// A cabled is two network namespaces: a program and its proxy in one, services in the other.
//
//	here: program, proxy ──── cable ──── there: base :8080, red :8080, echo :9000
//	10.99.0.1                            10.99.0.2, 10.99.0.3
type cabled struct {
	t            *testing.T
	here, there  *testkit.Namespace
	dir          string
	proxy        *exec.Cmd
	proxyErr     bytes.Buffer
	listen       string
	base, red    string
	virtual, raw string // addresses that nobody has: of an HTTP service, and of a tcp service
	echo, admin  string
}

func newCabled(t *testing.T, v6 bool) *cabled {
	c := &cabled{t: t, here: testkit.NewNamespace(t), there: testkit.NewNamespace(t), dir: t.TempDir()}
	testkit.Join(t, c.here, c.there, []string{"10.99.0.1/24", "fd99::1/64"}, []string{"10.99.0.2/24", "10.99.0.3/24", "fd99::2/64", "fd99::3/64"})
	far, loop := "10.99.0.%s:%s", "127.0.0.1:%s"
	if v6 {
		far, loop = "[fd99::%s]:%s", "[::1]:%s"
	}
	at := func(host, port string) string { return fmt.Sprintf(far, host, port) }
	c.listen, c.admin = fmt.Sprintf(loop, "15001"), fmt.Sprintf(loop, "9901")
	c.base, c.red, c.echo = at("2", "8080"), at("3", "8080"), at("2", "9000")
	c.virtual, c.raw = at("100", "80"), at("101", "5432")
	for _, s := range []struct{ addr, name string }{{c.base, "base"}, {c.red, "red"}} {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintf(w, "%s for %s, lane %q", s.name, host, r.Header.Get("X-Lane"))
		})}
		go server.Serve(c.there.Listen(s.addr))
		t.Cleanup(func() { server.Close() })
	}
	ln := c.there.Listen(c.echo)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	for _, addr := range []string{c.base, c.red} { // IPv6 takes a moment to find its neighbour
		require.Eventually(t, func() bool { return strings.Contains(c.get(addr), " for ") }, 20*time.Second, 20*time.Millisecond)
	}
	// The proxy's user must be able to get at the configuration.
	for dir := c.dir; strings.HasPrefix(filepath.Base(filepath.Dir(dir)), "Test") || dir == c.dir; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
	return c
}

// configure writes mesh.yaml. The program is service shop, in the lane given after @.
func (c *cabled) configure(caller string, uid int) string {
	name := filepath.Join(c.dir, "mesh.yaml")
	require.NoError(c.t, os.WriteFile(name, fmt.Appendf(nil, `admin: %q
intercept: {listen: %q, uid: %d, caller: %q, ports: [8080, 9000]}
timeouts: {drain: 200ms}
services:
  shop: {endpoints: ["127.0.0.1:1"], listen: "127.0.0.1:0"}
  web:
    addresses: [%q]
    endpoints: [%q]
    lanes: {red: [%q]}
  raw: {protocol: tcp, addresses: [%q], endpoints: [%q], lanes: {red: {fallback: absent}}}
`, c.admin, c.listen, uid, caller, c.virtual, c.base, c.red, c.raw, c.echo), 0o644))
	return name
}

// redlane runs a command line of ours as root, among the programs.
func (c *cabled) redlane(args ...string) string {
	c.t.Helper()
	var out []byte
	var err error
	c.here.Do(func() { out, err = exec.Command("redlane", args...).CombinedOutput() })
	require.NoError(c.t, err, "%s", out)
	return string(out)
}

// start runs the proxy as its own user.
func (c *cabled) start(config string, flags ...string) {
	c.t.Helper()
	c.proxy = exec.Command("/proc/self/exe", append([]string{"proxy", "-c", config}, flags...)...) // wherever it is, nobody else may look there
	c.proxy.Args[0] = "redlane"
	c.proxy.Stderr = &c.proxyErr
	c.proxy.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: proxyUser, Gid: proxyUser}}
	var err error
	c.here.Do(func() { err = c.proxy.Start() })
	require.NoError(c.t, err)
	c.t.Cleanup(func() {
		c.proxy.Process.Kill()
		c.proxy.Wait()
		if c.t.Failed() {
			c.t.Logf("the proxy said: %s", c.proxyErr.Bytes())
		}
	})
	require.Eventually(c.t, func() bool { return c.get(c.admin+"/ready") == "ready\n" }, 10*time.Second, 20*time.Millisecond)
}

// get is what curl gets, or why it got nothing.
func (c *cabled) get(url string, headers ...string) string {
	c.t.Helper()
	args := []string{"-sS", "--connect-timeout", "1", "--max-time", "5"}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	var out []byte
	c.here.Do(func() { out, _ = exec.Command("curl", append(args, "http://"+url)...).CombinedOutput() })
	return string(out)
}

// echoes sends a megabyte and compares what comes back.
func (c *cabled) echoes(addr string) {
	c.t.Helper()
	conn, err := c.here.Dial(addr)
	require.NoError(c.t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	sent := testkit.Noise(1<<20, 1)
	go func() {
		conn.Write(sent)
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	require.NoError(c.t, err)
	require.Equal(c.t, sha256.Sum256(sent), sha256.Sum256(got), "%d of %d bytes", len(got), len(sent))
}

// open opens a connection to an echo; ping uses it once more.
func (c *cabled) open(addr string) (ping func() error) {
	c.t.Helper()
	conn, err := c.here.Dial(addr)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { conn.Close() })
	ping = func() error {
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, "ping")
		_, err := io.ReadFull(conn, make([]byte, 4))
		return err
	}
	require.NoError(c.t, ping())
	return ping
}

// metric waits for a line: a connection is counted when the proxy sees its end, which is after the client has.
func (c *cabled) metric(line string) {
	c.t.Helper()
	var all string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if all = c.get(c.admin + "/metrics"); strings.Contains(all, line+"\n") {
			return
		}
	}
	require.Contains(c.t, all, line+"\n")
}

// A program that knows nothing of the proxy connects to addresses that nobody has, and ends up in its lane.
func TestIntercept(t *testing.T) {
	t.Parallel()
	t.Run("IPv6", func(t *testing.T) { testIntercept(t, newCabled(t, true)) })
	for _, engine := range choose.Names {
		t.Run("IPv4/"+engine, func(t *testing.T) { testIntercept(t, newCabled(t, false), "--engine", engine) })
	}
}

func testIntercept(t *testing.T, c *cabled, flags ...string) {
	config := c.configure("shop", proxyUser)
	c.start(config, flags...)
	require.Contains(t, c.redlane("intercept", "on", "-c", config), "       0  to "+c.virtual+" (service web) goes to "+c.listen+"\n")

	require.Contains(t, c.get(c.virtual), "base for ")
	require.Contains(t, c.get(c.virtual, "x-lane: red"), `lane "red"`)
	require.Contains(t, c.get(c.virtual, "x-lane: blue"), "no such lane")
	c.metric(`redlane_requests_total{caller="shop",code_class="2xx",lane="red",lane_resolved="red",reason="matched",service="web"} 1`)
	c.echoes(c.raw)
	c.metric(`redlane_tcp_bytes_total{caller="shop",direction="in",lane="baseline",lane_resolved="baseline",service="raw"} 1.048576e+06`)

	// For no service: it passes, and a lane cannot be chosen.
	c.echoes(c.echo)
	require.Contains(t, c.get(c.base, "x-lane: red"), "base for ")
	c.metric(`redlane_tcp_connections_total{caller="shop",lane="baseline",lane_resolved="baseline",reason="baseline",service="passthrough"} 2`)

	// What the proxy itself opens goes where it wants, though the rules would fit.
	status := c.redlane("intercept", "status")
	require.Regexp(t, `\n +[1-9]\d*  connections of user 13370, the proxy, are left alone\n`, status)
	require.Regexp(t, `\n +3  to .*:80 \(service web\)`, status)
	c.metric(`redlane_intercept_refused_total{reason="loop"} 0`)

	// Whoever connects to the listener itself is refused: there is nowhere to go on to.
	require.Contains(t, c.get(c.listen), "curl: ")
	c.metric(`redlane_intercept_refused_total{reason="itself"} 1`)

	c.lanes(config)
	c.looping(config)

	// New rules in place of the old are not noticed. Without any, what is under way is cut.
	ping := c.open(c.echo)
	c.redlane("intercept", "on", "-c", config)
	require.NoError(t, ping())
	c.redlane("intercept", "off")
	require.Error(t, ping())

	// Off: directly, from now on.
	require.Equal(t, "interception is off\n", c.redlane("intercept", "status"))
	before := c.get(c.admin + "/metrics")
	require.Contains(t, c.get(c.base), "base for ")
	require.NotContains(t, c.get(c.virtual), "base for ")
	c.echoes(c.echo)
	const passed = "redlane_connections_accepted_total "
	require.Contains(t, c.get(c.admin+"/metrics"), between(before, passed, "\n"))

	// The proxy dies with the rules in force: no connections, until they are off.
	c.redlane("intercept", "on", "-c", config)
	require.NoError(t, c.proxy.Process.Kill())
	c.proxy.Wait()
	require.NotContains(t, c.get(c.base), "base for ")
	c.redlane("intercept", "off")
	require.Contains(t, c.get(c.base), "base for ")
	require.Equal(t, "interception is off\n", c.redlane("intercept", "status"))
}

func between(text, from, to string) string {
	i := strings.Index(text, from)
	text = text[i:]
	return text[:strings.Index(text, to)+len(to)]
}

// lanes: the program is in lane red, whatever its requests say or do not say.
func (c *cabled) lanes(config string) {
	t := c.t
	t.Helper()
	kept, err := c.here.Dial(c.virtual)
	require.NoError(t, err)
	defer kept.Close()
	answers := bufio.NewReader(kept)
	ask := func(want string) {
		t.Helper()
		io.WriteString(kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), want)
	}
	ask("base for ")
	c.reload("shop@red")
	ask("red for ") // over the same connection
	require.Contains(t, c.get(c.virtual), "red for ")
	c.echoes(c.raw) // its rule lets it out
	c.echoes(c.echo)
	c.metric(`redlane_tcp_connections_total{caller="shop",lane="red",lane_resolved="baseline",reason="fallback_absent",service="raw"} 1`)
	require.Contains(t, c.get(c.base), "curl: ", "an instance of another lane, by its own address")
	require.Contains(t, c.get(c.red), "red for ")
	c.metric(`redlane_lane_escapes_total{caller="shop",service="passthrough"} 1`)
	c.reload("shop")
	require.Contains(t, c.get(c.red), "curl: ", "uncoloured traffic never enters a lane")
}

func (c *cabled) reload(caller string) {
	c.t.Helper()
	c.configure(caller, proxyUser)
	require.NoError(c.t, c.proxy.Process.Signal(syscall.SIGHUP))
	require.Eventually(c.t, func() bool { return strings.Contains(c.get(c.admin+"/config"), "caller: "+caller+"\n") }, 5*time.Second, 20*time.Millisecond)
}

// looping: rules that spare another user than the proxy's send its connections back to it. It refuses them.
func (c *cabled) looping(config string) {
	t := c.t
	t.Helper()
	c.configure("shop", proxyUser+1)
	wrong := filepath.Join(c.dir, "wrong.yaml")
	require.NoError(t, os.Rename(config, wrong))
	c.configure("shop", proxyUser)
	c.redlane("intercept", "on", "-c", wrong)
	require.Contains(t, c.get(c.base), "curl: ")
	require.Regexp(t, `redlane_intercept_refused_total\{reason="loop"\} [1-9]\d*\n`, c.get(c.admin+"/metrics"))
	c.redlane("intercept", "on", "-c", config)
	require.Eventually(t, func() bool { return strings.Contains(c.get(c.virtual), "base for ") }, 10*time.Second, 50*time.Millisecond, "the instance has rested")

	var out []byte
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c.here.Do(func() { out, _ = exec.CommandContext(ctx, "redlane", "proxy", "-c", wrong).CombinedOutput() })
	require.Contains(t, string(out), "intercept: uid 13371: this proxy runs as user 0, whose connections would be sent back to it\n")
}
