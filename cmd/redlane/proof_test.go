package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Real nginx behind the proxy, driven by wrk, ab and curl. Every request that nginx served is in the
// tape, told by the x-request-id that the proxy gave it, and the ledger is exact.
func TestEveryRequestIsOnTheTape(t *testing.T) {
	total := 200_000
	if testing.Short() {
		total = 20_000
	}
	dir := t.TempDir()
	nginx := testkit.StartNginx(t, testkit.NginxConfig{Log: "$http_x_request_id"})
	listen := testkit.FreeAddr(t)
	tapeDir := filepath.Join(dir, "tape")
	rec := startRecord(t, dir, listen, nginx.Addr, tapeDir)

	sent := driveCurl(t, listen, 500)
	sent += driveWrk(t, listen, 4*time.Second)
	for sent < total {
		sent += driveAB(t, listen, min(total-sent, 50_000))
	}
	out := rec.stop(t)

	served := readIDs(t, filepath.Join(nginx.Dir, "access.log"))
	require.GreaterOrEqual(t, len(served), total)
	recorded := make(map[uint64]int)
	x := new(traffic.Exchange)
	reader, err := tape.Open(tapeDir)
	require.NoError(t, err)
	defer reader.Close()
	for {
		if err = reader.Next(t.Context(), x); err != nil {
			break
		}
		recorded[x.ID]++
	}
	require.ErrorIs(t, err, io.EOF)
	for id := range served {
		require.Equal(t, 1, recorded[id], "nginx served request id %x; times on tape", id)
	}
	require.Len(t, recorded, len(served), "the tape holds requests that nginx did not serve")
	require.Contains(t, out, fmt.Sprintf("accepted %d = passed %d + filtered 0 + sampled out 0 + dropped 0, balanced", len(served), len(served)))
}

// startSink is a server that takes every request whole and answers 200.
func startSink(t *testing.T) (addr string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A recording is `redlane record` in a process of its own.
type recording struct {
	cmd *exec.Cmd
	out *lines
}

func startRecord(t *testing.T, dir, listen, endpoint, tapeDir string, flags ...string) *recording {
	t.Helper()
	return startRecordTo(t, dir, listen, endpoint, "tape://"+tapeDir, flags...)
}

func startRecordTo(t *testing.T, dir, listen, endpoint, to string, flags ...string) *recording {
	t.Helper()
	mesh := filepath.Join(dir, "mesh.yaml")
	text := fmt.Sprintf("services:\n  web: {listen: %q, endpoints: [%q]}\n", listen, endpoint)
	require.NoError(t, os.WriteFile(mesh, []byte(text), 0o644))
	args := append([]string{"record", "-c", mesh, "--tap", "web", "--to", to}, flags...)
	r := &recording{cmd: exec.Command("redlane", args...), out: new(lines)}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	testkit.WaitForPort(t, listen)
	return r
}

// stop ends the recording as an operator does and returns what it printed.
func (r *recording) stop(t *testing.T) string {
	t.Helper()
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.cmd.Wait(), r.out.String())
	return r.out.String()
}

func readIDs(t *testing.T, log string) map[uint64]bool {
	f, err := os.Open(log)
	require.NoError(t, err)
	defer f.Close()
	ids := make(map[uint64]bool)
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		ids[traffic.RequestID(lines.Bytes())] = true
	}
	require.NoError(t, lines.Err())
	require.Len(t, ids, n, "two requests had one id")
	return ids
}

func driveCurl(t *testing.T, addr string, n int) int {
	t.Helper()
	out, err := exec.Command("curl", "-sSf", "-o", os.DevNull, fmt.Sprintf("http://%s/curl?n=[1-%d]", addr, n)).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return n
}

var (
	wrkCount  = regexp.MustCompile(`(\d+) requests in`)
	wrkErrors = regexp.MustCompile(`Socket errors|Non-2xx`)
	abCount   = regexp.MustCompile(`Complete requests:\s+(\d+)`)
	abFailed  = regexp.MustCompile(`Failed requests:\s+(\d+)`)
)

func driveWrk(t *testing.T, addr string, d time.Duration) int {
	t.Helper()
	out, err := exec.Command("wrk", "-t1", "-c32", "-d"+d.String(), "http://"+addr+"/wrk").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotRegexp(t, wrkErrors, string(out))
	return number(t, wrkCount, out)
}

func driveAB(t *testing.T, addr string, n int) int {
	t.Helper()
	out, err := exec.Command("ab", "-q", "-k", "-c", "32", "-n", strconv.Itoa(n), "http://"+addr+"/ab").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Zero(t, number(t, abFailed, out), "%s", out)
	return number(t, abCount, out)
}

func number(t testing.TB, re *regexp.Regexp, out []byte) int {
	t.Helper()
	m := re.FindSubmatch(out)
	require.NotNil(t, m, "no %s in %s", re, out)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n
}
