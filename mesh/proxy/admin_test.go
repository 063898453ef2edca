package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
)

// metrics is what /metrics says.
func metrics(t testing.TB, r *rig) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.AdminHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

func TestAdmin(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	}), func(c *proxy.Config) {
		c.Mesh.Admin = "127.0.0.1:0"
		c.Mounts = map[string]http.Handler{"/faults/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })}
	})
	base := "http://" + r.AdminAddr().String()
	c := client(t)
	f := func(path string, status int, contains ...string) {
		t.Helper()
		got, body := get(t, c, base+path)
		require.Equal(t, status, got)
		for _, s := range contains {
			require.Contains(t, body, s)
		}
	}
	get(t, c, "http://"+r.addr)
	require.Eventually(t, r.Ready, time.Second, time.Millisecond)
	require.Eventually(t, func() bool { // an exchange is counted after its last byte has gone out
		_, body := get(t, c, base+"/metrics")
		return strings.Contains(body, "redlane_requests_total{")
	}, 5*time.Second, time.Millisecond)
	f("/healthz", 200, "alive")
	f("/ready", 200, "ready")
	f("/config", 200, "# generation 1\n", `# filter "halves", level tap, all services`, "connect: 1s", "listen: 127.0.0.1:0")
	f("/faults/x", 200, "/faults/x")
	f("/metrics", 200, "redlane_loops 2\n", "redlane_requests_total{", "redlane_request_duration_seconds_bucket{", "redlane_upstream_connects_total 1", "redlane_endpoint_up{", "redlane_connections_open 1", "go_goroutines")
	f("/debug/pprof/allocs?debug=1", 200, "heap profile: ")
	f("/debug/pprof/profile?seconds=1", 200, "\x1f\x8b") // gzip
	f("/nothing", 404)

	go get(t, client(t), "http://"+r.addr+"/slow")
	require.Eventually(t, func() bool { return r.halves.requests.Load() == 2 }, 5*time.Second, time.Millisecond)
	go r.stop()
	require.Eventually(t, func() bool { return !r.Ready() }, 5*time.Second, time.Millisecond)
	f("/healthz", 200)
	f("/ready", 503) // while it drains
	letGo()
	r.stop()
}

// One line for each exchange, whatever clients send in between, and none missing after the drain.
func TestAccessLogIsExactAfterDrain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	r := start(t, serve(t, echo), func(c *proxy.Config) { c.Mesh.AccessLog.Path = path })
	const clients, each = 8, 40
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := client(t)
			for i := range each {
				get(t, c, fmt.Sprintf("http://%s/%d/%d", r.addr, n, i))
			}
		})
	}
	all.Wait()
	require.Contains(t, say(t, r.addr, "GET /\"\\\x80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "HTTP/1.1 ")
	require.Contains(t, say(t, r.addr, "nonsense\r\n\r\n"), "HTTP/1.1 400 ")
	r.stop()

	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	seen := make(map[string]int)
	last := map[string]int{}
	for s := bufio.NewScanner(file); s.Scan(); {
		var line struct {
			Start                             time.Time
			Service, Method, Target, Flags    string
			Status, Seq                       int
			Session, Client, Endpoint, Reason string
			RequestID                         string `json:"request_id"`
			Response                          int    `json:"response_bytes"`
			Duration                          int    `json:"duration_us"`
		}
		d := json.NewDecoder(strings.NewReader(s.Text()))
		require.NoError(t, d.Decode(&line), s.Text())
		seen[line.Target]++
		require.Equal(t, "s", line.Service)
		require.WithinDuration(t, time.Now(), line.Start, time.Minute)
		require.NotEmpty(t, line.Client)
		if line.Status == 200 {
			require.Equal(t, "-", line.Flags)
			require.NotEmpty(t, line.Endpoint)
			require.NotEmpty(t, line.RequestID)
			require.Positive(t, line.Duration)
			require.Equal(t, last[line.Session], line.Seq)
			last[line.Session]++
		} else {
			require.Equal(t, "DPE", line.Flags)
		}
	}
	require.Len(t, seen, clients*each+2)
	require.Equal(t, 1, seen["/\"\\\uFFFD"])
	require.Contains(t, metrics(t, r), fmt.Sprintf(`redlane_access_log_lines_total{result="written"} %d`, clients*each+2))
}

// A log that cannot be written costs lines, counted, and never a request.
func TestAccessLogNeverWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, makeFIFO(path))
	hold, err := os.OpenFile(path, os.O_RDWR, 0) // keeps it open, and reads nothing
	require.NoError(t, err)
	f, r := startFake(t, func(c *proxy.Config) { c.Mesh.AccessLog.Path = path })
	c := f.accept()
	for range 4200 { // 4 MiB of pages, the pipe, and more
		c.data("GET /" + strings.Repeat("x", 900) + " HTTP/1.1\r\nHost: a\r\n\r\n")
		f.upstream(0).data(answer)
		require.Equal(t, answer, c.take())
	}
	text := metrics(t, r)
	require.NotContains(t, text, `redlane_access_log_lines_total{result="dropped"} 0`)
	go io.Copy(io.Discard, hold) // so that nothing is left to write
	c.broken()
	f.dialled[0].broken()
	r.stop()
	hold.Close()
}

// Nor does a log whose reader has stopped keep the process from ending.
func TestAccessLogDoesNotKeepTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, makeFIFO(path))
	hold, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer hold.Close()
	f, r := startFake(t, func(c *proxy.Config) { c.Mesh.AccessLog.Path = path; c.Mesh.Timeouts.Drain = 50 * time.Millisecond })
	c := f.accept()
	for range 300 { // more than the pipe takes
		c.data("GET /" + strings.Repeat("x", 900) + " HTTP/1.1\r\nHost: a\r\n\r\n")
		f.upstream(0).data(answer)
	}
	c.broken()
	f.dialled[0].broken()
	r.stop()
	require.ErrorContains(t, r.err, "access log")
	r.err = nil
}
