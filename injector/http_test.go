package injector

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAdminAPI(t *testing.T) {
	table := NewTable(Config{})
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
	f("POST", "/faults", strings.Replace(good, "30s", "31m", 1)+`}`, 400, `{"error":"add lease: ttl: 31m0s is above the maximum of 30m0s; renew the lease instead"}`)
	f("POST", "/faults", `{"id": "`+strings.Repeat("a", maxLeaseBody)+`"}`, 413, `{"error":"read lease: http: request body too large"}`)
	f("PUT", "/faults", "", 405, `{"error":"no such method here"}`)
	f("GET", "/halt", "", 405, `{"error":"no such method here"}`)
	f("GET", "/nowhere", "", 404, `{"error":"no such path"}`)
	f("POST", "/halt", "anything", 200, `{"halted":1}`)
	f("POST", "/halt", "", 200, `{"halted":0}`)
}

func TestClientSpeaksToTheHandler(t *testing.T) {
	table := NewTable(Config{})
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
	require.WithinDuration(t, time.Now().Add(30*time.Second), s.Expires, 5*time.Second)
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
	require.NoError(t, c.Halt(ctx))

	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		_, _ = io.WriteString(w, "<html>")
	}))
	defer odd.Close()
	c = &Client{Base: odd.URL, HTTP: odd.Client()}
	defer odd.Client().CloseIdleConnections()
	require.EqualError(t, c.Halt(ctx), "ask proxy: 502 Bad Gateway")
}
