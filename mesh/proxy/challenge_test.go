package proxy_test

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

var ticketKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func ticketed(c *proxy.Config) {
	absent := lanes.Absent
	c.Mesh.Tickets = &mesh.Tickets{Private: ticketKey, TTL: 30 * time.Second}
	c.Mesh.Services["s"].Lanes = map[traffic.Color]mesh.Lane{
		"red": {Endpoints: []string{"127.0.0.1:3"}}, "blue": {Fallback: &absent}, "green": {Endpoints: []string{"127.0.0.1:4"}, Fallback: &absent},
	}
	c.Mesh.Services["s"].Callers = map[string]string{"s@red": "127.0.0.1:0"}
}

// options sends a request without a resource.
func options(t testing.TB, addr, method, challenge string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+addr, nil)
	require.NoError(t, err)
	req.URL.Opaque, req.Host = "*", "lane.example"
	if challenge != "" {
		req.Header.Set(ticket.Header, challenge)
	}
	resp, err := client(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestAChallengeIsAnsweredWithATicket(t *testing.T) {
	r := start(t, serve(t, named("base")), ticketed)
	keys := ticket.KeysOf(ticketKey.Public().(ed25519.PublicKey))
	f := func(addr, lane string, rule lanes.Rule, refused string) {
		t.Helper()
		status, body := options(t, addr, "OPTIONS", "nonce-"+lane+" "+lane)
		line, rest, _ := strings.Cut(body, "\n")
		require.Empty(t, rest, "one line")
		if refused != "" {
			require.Equal(t, 403, status)
			require.Equal(t, ticket.Refused+refused, line)
			return
		}
		require.Equal(t, 200, status, body)
		tk, err := keys.Verify(line, ticket.Want{Lane: traffic.Color(lane), Service: "s", Nonce: "nonce-" + lane}, time.Now())
		require.NoError(t, err)
		require.Equal(t, rule, tk.Fallback)
		require.InDelta(t, 30, time.Until(tk.Expires).Seconds(), 5)
	}
	f(r.addr, "red", lanes.Never, "")
	f(r.addr, "green", lanes.Absent, "")
	f(r.addr, "blue", 0, "service s has no instance in lane blue")
	f(r.addr, "tan", 0, "service s has no instance in lane tan")
	f(r.addr, "baseline", 0, `x-redlane-challenge: "baseline" is no colour`)
	f(r.addr, "Red", 0, `x-redlane-challenge: "Red" is no colour`)
	ofRed := r.Addr("s", "s@red").String()
	f(ofRed, "red", lanes.Never, "")
	f(ofRed, "green", 0, "this port is for callers in lane red")

	// No filter has seen any of it, and the counters of the traffic are as they were.
	require.Zero(t, r.halves.requests.Load())
	text := metrics(t, r)
	require.Contains(t, text, `redlane_lane_challenges_total{result="issued"} 3`)
	require.Contains(t, text, `redlane_lane_challenges_total{result="refused"} 5`)
	require.Contains(t, text, `redlane_request_duration_seconds_count{caller="",lane="baseline",service="s"} 0`)
	require.NotContains(t, text, `reason="baseline"`)

	// What is no challenge is traffic.
	status, _ := colored(t, "http://"+r.addr+"/", ticket.Header, "nonce-red red")
	require.Equal(t, 200, status)
	status, _ = options(t, r.addr, "OPTIONS", "")
	require.Equal(t, 200, status)
	require.EqualValues(t, 2, r.halves.requests.Load())
	status, _ = options(t, r.addr, "GET", "nonce-red red")
	require.Equal(t, 400, status, "no method but OPTIONS has this target")

	// A filter that comes and goes changes nothing about it.
	detach, err := r.Attach(proxy.Slot{Name: "passing", Level: proxy.Fault, Filter: &halves{}})
	require.NoError(t, err)
	f(r.addr, "red", lanes.Never, "")
	require.NoError(t, detach(t.Context()))
	f(r.addr, "red", lanes.Never, "")
}

func TestAProxyWithoutAKeyConfirmsNothing(t *testing.T) {
	r := start(t, serve(t, named("base")))
	status, body := options(t, r.addr, "OPTIONS", "nonce-red red")
	require.Equal(t, 403, status)
	require.Contains(t, body, "no ticket: this proxy has no ticket key")
	require.Zero(t, r.halves.requests.Load(), "and the service is not asked either")
}

func TestALaneThatIsTakenAwayIsConfirmedNoMore(t *testing.T) {
	r := start(t, serve(t, named("base")), ticketed)
	status, _ := options(t, r.addr, "OPTIONS", "nonce-red red")
	require.Equal(t, 200, status)
	without := mesh.Config{Tickets: &mesh.Tickets{Private: ticketKey}, Services: map[string]*mesh.Service{
		"s": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}},
	}}
	require.NoError(t, r.Reload(&without))
	status, body := options(t, r.addr, "OPTIONS", "nonce-red red")
	require.Equal(t, 403, status)
	require.Equal(t, "no ticket: service s has no instance in lane red\n", body)
}

func TestChallengesAreLimited(t *testing.T) {
	f, _ := startFake(t, ticketed, func(c *proxy.Config) { c.Slots = nil })
	c := f.accept()
	ask := func() string {
		t.Helper()
		from := len(c.sent)
		c.data("OPTIONS * HTTP/1.1\r\nHost: x\r\nx-redlane-challenge: nonce-red red\r\n\r\n")
		return strings.Fields(string(c.sent[from:]))[1]
	}
	for range 100 {
		require.Equal(t, "200", ask())
	}
	require.Equal(t, "429", ask())
	f.now = f.now.Add(10 * time.Millisecond)
	require.Equal(t, "200", ask())
	require.Equal(t, "429", ask())
	require.Empty(t, f.dialled)
}

func TestARejectedKeyLeavesTheConfiguration(t *testing.T) {
	r := start(t, serve(t, named("base")), ticketed)
	bad := mesh.Config{Tickets: &mesh.Tickets{Key: mesh.File{Path: "/no/such"}}, Services: map[string]*mesh.Service{
		"s": {Listen: "127.0.0.1:0", Endpoints: []string{"127.0.0.1:1"}},
	}}
	require.ErrorContains(t, r.Reload(&bad), "/no/such: no such file")
	status, _ := options(t, r.addr, "OPTIONS", "nonce-red red")
	require.Equal(t, 200, status)
}
