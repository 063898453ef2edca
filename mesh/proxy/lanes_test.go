package proxy_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name+" "+r.Header.Get("X-Lane")) }
}

// ask sends one request with headers and returns status and body.
func colored(t testing.TB, url string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestColouredTrafficStaysInItsLane(t *testing.T) {
	absent := lanes.Absent
	base, red := serve(t, named("base")), serve(t, named("red"))
	other := serve(t, named("other"))
	var blueAsked atomic.Int64
	blue := serve(t, func(http.ResponseWriter, *http.Request) { blueAsked.Add(1) })
	r := start(t, base, func(c *proxy.Config) {
		c.Mesh.Lanes.Header = "x-color"
		c.Mesh.Services["s"].Lanes = map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{red}}, "blue": {Endpoints: []string{blue}}}
		c.Mesh.Services["s"].Callers = map[string]string{"t": "127.0.0.1:0", "t@red": "127.0.0.1:0"}
		c.Mesh.Services["t"] = &mesh.Service{Listen: "127.0.0.1:0", Endpoints: []string{other}, Lanes: map[traffic.Color]mesh.Lane{"red": {Fallback: &absent}}}
	})
	edge := "http://" + r.addr
	f := func(url string, status int, body string, reason traffic.LaneReason, headers ...string) {
		t.Helper()
		n := int(r.halves.responses.Load())
		gotStatus, gotBody := colored(t, url, headers...)
		require.Equal(t, status, gotStatus)
		if status == 200 {
			require.Equal(t, body, gotBody)
		}
		x := r.halves.wait(t, n+1)[n]
		require.Equal(t, reason, x.reason)
	}
	f(edge, 200, "base ", traffic.LaneBaseline)
	f(edge, 200, "red red", traffic.LaneMatched, "x-lane", "red")
	f(edge, 200, "red red", traffic.LaneMatched, "X-Color", "red")
	f(edge, 200, "red red", traffic.LaneMatched, "baggage", "a=b,lane=red")
	f(edge, 503, "", traffic.LaneUnknown, "x-lane", "green")
	f(edge, 503, "", traffic.LaneUnknown, "x-lane", "RED")
	tt := "http://" + r.Addr("t", "").String()
	f(tt, 200, "other ", traffic.LaneBaseline)
	f(tt, 200, "other red", traffic.LaneFallbackAbsent, "x-lane", "red")
	f(tt, 503, "", traffic.LaneNotFound, "x-lane", "blue")
	byRed := "http://" + r.Addr("s", "t@red").String()
	f(byRed, 200, "red red", traffic.LaneMatched) // the colour of the calling instance
	f(byRed, 503, "", traffic.LaneEscape, "x-lane", "blue")
	f("http://"+r.Addr("s", "t").String(), 200, "base ", traffic.LaneBaseline)
	require.Zero(t, blueAsked.Load())
	all := r.halves.wait(t, 12)
	require.Equal(t, "t", all[9].src)
	require.Equal(t, traffic.Color("red"), all[9].lane)
	require.True(t, all[10].flags.Has(traffic.FlagLaneEscape))

	text := metrics(t, r)
	require.Contains(t, text, `redlane_lane_escapes_total{caller="t",service="s"} 1`)
	require.Contains(t, text, `redlane_requests_total{caller="",code_class="2xx",lane="red",lane_resolved="red",reason="matched",service="s"} 3`)
	require.Contains(t, text, `redlane_requests_total{caller="",code_class="5xx",lane="?",lane_resolved="baseline",reason="unknown",service="s"} 2`)
	require.Contains(t, text, `redlane_requests_total{caller="",code_class="2xx",lane="red",lane_resolved="baseline",reason="fallback_absent",service="t"} 1`)
	require.Contains(t, text, `redlane_request_flags_total{caller="",flag="LNF",lane="?",service="s"} 2`)
}

// An instance that rests keeps resting over a reload, and its lane's rule keeps holding.
func TestHealthOutlivesReloads(t *testing.T) {
	base := serve(t, named("base"))
	dead := "127.0.0.1:1"
	config := func() *mesh.Config {
		return &mesh.Config{Services: map[string]*mesh.Service{"s": {Listen: "127.0.0.1:0", Endpoints: []string{base}, Lanes: map[traffic.Color]mesh.Lane{"red": {Endpoints: []string{dead}}}}}}
	}
	r := start(t, base, func(c *proxy.Config) { c.Mesh = config(); c.Loops = 1 })
	var reasons []traffic.LaneReason
	for i := range 3 {
		status, _ := colored(t, "http://"+r.addr, "x-lane", "red")
		require.Equal(t, 503, status)
		reasons = append(reasons, r.halves.wait(t, i+1)[i].reason)
		require.NoError(t, r.Reload(config()))
	}
	require.Equal(t, traffic.LaneMatched, reasons[0])
	require.Contains(t, reasons[1:], traffic.LaneUnhealthy)
}

func TestFiltersComeAndGo(t *testing.T) {
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // also when it fails: the server waits for its handlers
	entered := make(chan struct{}, 1)
	r := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-release
		}
	}))
	url := "http://" + r.addr
	status, _ := get(t, client(t), url)
	require.Equal(t, 200, status)
	h := &halves{}
	detach, err := r.Attach(proxy.Slot{Name: "late", Filter: h})
	require.NoError(t, err)
	get(t, client(t), url)
	require.Equal(t, int64(1), h.requests.Load())
	go get(t, client(t), url+"/slow")
	<-entered
	gone := make(chan error, 1)
	go func() { gone <- detach(t.Context()) }()
	select {
	case <-gone:
		t.Fatal("detached with an exchange under way")
	case <-time.After(50 * time.Millisecond):
	}
	get(t, client(t), url)
	require.Equal(t, int64(2), h.requests.Load(), "what begins now does not pass it")
	letGo()
	require.NoError(t, <-gone)
	require.Equal(t, int64(2), h.responses.Load())
	h.balanced(t)
	require.NoError(t, detach(context.Background()), "twice is once")
	_, err = r.Attach(proxy.Slot{Name: "nothing"})
	require.Error(t, err)
}

func TestTheFileIsWatched(t *testing.T) {
	one, two := serve(t, named("one")), serve(t, named("two"))
	path := filepath.Join(t.TempDir(), "mesh.yaml")
	write := func(endpoint string) {
		t.Helper()
		text := "services:\n  s: {listen: 127.0.0.1:0, endpoints: [" + endpoint + "]}\n"
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o644))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write(one)
	m, err := mesh.Load(path)
	require.NoError(t, err)
	write(two) // before anybody watches
	r := start(t, one, func(c *proxy.Config) { c.Mesh, c.Path, c.Watch = m, path, 5*time.Millisecond })
	says := func() string {
		_, b := get(t, client(t), "http://"+r.addr)
		return strings.TrimSpace(b)
	}
	require.Eventually(t, func() bool { return says() == "two" }, 5*time.Second, 5*time.Millisecond)
	write("not-an-address")
	require.Eventually(t, func() bool { return strings.Contains(metrics(t, r), "redlane_config_reload_failures_total 1") }, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, "two", says())
	write(one)
	require.Eventually(t, func() bool { return says() == "one" }, 5*time.Second, 5*time.Millisecond)
	require.Contains(t, metrics(t, r), "redlane_config_generation 3")
}
