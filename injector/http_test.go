package injector

import (
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector/api"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

func TestAdminAPI(t *testing.T) {
	table := NewTable(Config{Allow: anyone})
	handler := table.Handler()
	f := func(method, path, body string, code int, want string) {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		require.Equal(t, code, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), want)
		require.Equal(t, 1, strings.Count(w.Body.String(), "\n"), "one line")
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	const good = `{"fault": "latency", "lane": "red", "edge": "gateway -> packet", "share": "10%", "ttl": "30s", "delay": "50ms"`
	f("GET", "/faults", "", 200, "[]")
	f("POST", "/faults", good+`, "id": "slow"}`, 201, `{"id":"slow","state":"live","expires":"`)
	f("POST", "/faults", good+`, "id": "slow"}`, 409, `{"error":"add lease slow: a lease of this id is live"}`)
	f("POST", "/faults", good+`}`, 201, `"id":"f1"`)
	f("GET", "/faults", "", 200, `"edge":"gateway -> packet"`)
	f("POST", "/faults/slow/renew", "", 200, `"state":"live"`)
	f("POST", "/faults/fast/renew", "", 404, `{"error":"renew lease \"fast\": no such lease"}`)
	f("DELETE", "/faults/slow", "", 200, `"state":"removed"`)
	f("POST", "/faults/slow/renew", "", 409, `{"error":"renew lease slow: the lease is over; add it again"}`)
	f("DELETE", "/faults/fast", "", 404, `{"error":"remove lease \"fast\": no such lease"}`)
	f("POST", "/faults", good, 400, `{"error":"read lease: not valid JSON: unexpected end of JSON input"}`)
	f("POST", "/faults", `[1]`, 400, `{"error":"read lease: want a JSON object"}`)
	f("POST", "/faults", `{"fault": "latancy"}`, 400, `{"error":"read lease: no fault \"latancy\" (did you mean \"latency\"?)"}`)
	f("POST", "/faults", good+`, "dealy": "1s"}`, 400, `{"error":"read lease: no key \"dealy\" (did you mean \"delay\"?)"}`)
	f("POST", "/faults", good+`, "ttl": "1s"}`, 400, `{"error":"read lease: key \"ttl\" is given twice`)
	f("POST", "/faults", strings.Replace(good, "30s", "31m", 1)+`}`, 400, `{"error":"add lease: ttl: 31m0s is above the maximum of 30m0s"}`)
	f("POST", "/faults", `{"id": "`+strings.Repeat("a", api.MaxBody)+`"}`, 413, `{"error":"read lease: http: request body too large"}`)
	f("PUT", "/faults", "", 405, `{"error":"no such method here"}`)
	f("GET", "/halt", "", 405, `{"error":"no such method here"}`)
	f("GET", "/nowhere", "", 404, `{"error":"no such path"}`)
	f("POST", "/halt", "anything", 200, `{"halted":1}`)
	f("POST", "/halt", "", 200, `{"halted":0}`)
}

func TestClientSpeaksToTheHandler(t *testing.T) {
	table := NewTable(Config{Allow: anyone})
	server := httptest.NewServer(table.Handler())
	defer server.Close()
	ctx := context.Background()
	c := &Client{Base: server.URL + "/", HTTP: server.Client()}
	defer server.Client().CloseIdleConnections()

	asked := slow("a")
	asked.Share = 0.1
	s, err := c.Add(ctx, asked)
	require.NoError(t, err)
	require.Equal(t, asked, s.Lease)
	require.WithinDuration(t, time.Now().Add(30*time.Second), s.Ends, 5*time.Second)
	_, err = c.Add(ctx, asked)
	require.EqualError(t, err, "ask proxy: add lease a: a lease of this id is live")
	_, err = c.Renew(ctx, "a")
	require.NoError(t, err)
	list, err := c.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	s, err = c.Remove(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, Removed, s.State)
	n, err := c.Halt(ctx)
	require.NoError(t, err)
	require.Zero(t, n)

	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		_, _ = io.WriteString(w, "<html>")
	}))
	defer odd.Close()
	c = &Client{Base: odd.URL, HTTP: odd.Client()}
	defer odd.Client().CloseIdleConnections()
	_, err = c.Halt(ctx)
	require.EqualError(t, err, "ask proxy: 502 Bad Gateway")
	require.Equal(t, 502, api.Code(err))
}

func anyone(string, traffic.Color) error { return nil }

// Starting takes a token, and so does going on; stopping and looking take none.
func TestWhoMayStart(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	now := time.Now()
	table := NewTable(Config{Allow: func(text string, lane traffic.Color) error {
		_, err := token.Verify(ticket.KeysOf(public), text, lane, now)
		return err
	}})
	tok := func(lane traffic.Color) string {
		k, err := token.Issue(key, []traffic.Color{lane}, "t", now, time.Hour)
		require.NoError(t, err)
		return k.String()
	}
	const lease = `{"id": "a", "fault": "reset", "lane": "red", "edge": "* -> packet", "share": 1, "ttl": "30s"}`
	f := func(table *Table, tok, method, path, body string, code int, want string) {
		t.Helper()
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set(token.Header, tok)
		table.Handler().ServeHTTP(w, r)
		require.Equal(t, code, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), want)
	}
	f(table, "", "POST", "/faults", lease, 401, `add lease: a drill token is needed to start a fault`)
	f(table, "rdt1", "POST", "/faults", lease, 403, `malformed`)
	f(table, tok("blue"), "POST", "/faults", lease, 403, `drill token of t is for lane blue, not for lane red`)
	f(table, tok("red"), "POST", "/faults", strings.Replace(lease, `"ttl"`, `"seed": 1, "x"`, 1), 400, `no key`)
	f(table, "", "POST", "/faults", strings.Replace(lease, `, "ttl": "30s"`, "", 1), 400, `ttl: say how long`)
	f(table, tok("red"), "POST", "/faults", lease, 201, `"state":"live"`)
	until := status(t, table, "a").Expires
	f(table, "", "POST", "/faults/a/renew", "", 401, `renew lease a: a drill token is needed`)
	f(table, tok("blue"), "POST", "/faults/a/renew", "", 403, `not for lane red`)
	require.Equal(t, until, status(t, table, "a").Expires, "refused, and not renewed")
	f(table, tok("red"), "POST", "/faults/a/renew", "", 200, `"state":"live"`)
	f(table, "", "POST", "/faults/b/renew", "", 404, `no such lease`)
	f(table, "", "GET", "/faults", "", 200, `"state":"live"`)
	f(table, "", "DELETE", "/faults/a", "", 200, `"state":"removed"`)
	f(table, "", "POST", "/halt", "", 200, `{"halted":0}`)
	f(NewTable(Config{}), tok("red"), "POST", "/faults", lease, 403, `no fault can be started here over the network: no drill keys are configured`)
}
