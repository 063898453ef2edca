package netfault

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/token"
)

func TestHTTP(t *testing.T) {
	l := newLab(t)
	server := httptest.NewServer(l.agent().Handler())
	defer server.Close()
	secret := "good"
	f := func(method, path, body string, code int, want string) (s Status) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		if secret != "" {
			req.Header.Set(token.Header, secret)
		}
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, code, resp.StatusCode, "%s", data)
		require.Contains(t, string(data), want)
		_ = json.Unmarshal(data, &s) // not all answers are a Status
		return s
	}
	lease := `{"fault": "impair", "id": "slow", "lane": "red", "from": "shop", "to": "bank", "delay": "20ms", "loss": "2%", "ttl": "1m"}`
	s := f("POST", "/faults", lease, 201, `"state":"live"`)
	require.Equal(t, Lease{ID: "slow", Fault: FaultImpair, Lane: "red", From: "shop", To: "bank", TTL: 60000 * ms, Impair: Impair{Delay: 20 * ms, Loss: 0.02}}, s.Lease)
	f("POST", "/faults", lease, 409, `{"error":"add lease slow: a lease of this id is live"}`)
	f("POST", "/faults", strings.Replace(lease, "slow", "b", 1), 409, `has some of those packets"}`)
	f("POST", "/faults", `{"fault": "impair", "from": "shop", "to": "bank", "delay": "20ms"}`, 400, `{"error":"add lease: ttl: say how long`)
	f("POST", "/faults", `[]`, 400, `{"error":"read lease: want a JSON object"}`)
	f("POST", "/faults", strings.Repeat(" ", 100_000), 413, `too large`)
	f("POST", "/faults", strings.Replace(lease, "red", "blue", 1), 403, `{"error":"add lease: `)
	f("POST", "/faults", strings.Replace(lease, `"lane": "red", `, "", 1), 400, `{"error":"add lease: lane: say which`)
	secret = ""
	f("POST", "/faults", lease, 401, `{"error":"add lease: `)
	f("POST", "/faults/slow/renew", "", 401, `{"error":"renew lease slow: `)
	secret = "good"
	f("GET", "/faults", "", 200, `[{"id":"slow","state":"live"`)
	require.Equal(t, injector.Live, f("POST", "/faults/slow/renew", "", 200, "").State)
	f("POST", "/faults/fast/renew", "", 404, `{"error":"renew lease \"fast\": no such lease"}`)
	secret = "" // stopping takes none
	require.Equal(t, injector.Removed, f("DELETE", "/faults/slow", "", 200, "").State)
	secret = "good"
	f("POST", "/faults/slow/renew", "", 409, `the lease is over`)
	f("DELETE", "/faults/fast", "", 404, `no such lease`)
	f("POST", "/faults", lease, 201, `"state":"live"`)
	secret = ""
	f("POST", "/halt", "", 200, `{"halted":1}`)
	f("POST", "/halt", "", 200, `{"halted":0}`)
}

func TestNobodyMayStartWithoutKeys(t *testing.T) {
	a, err := New(Config{Undoer: undoerCommand(t)})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/faults", strings.NewReader(`{"fault":"partition","lane":"red","mark":1,"ttl":"1s"}`)))
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Body.String(), "no drill keys are given")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, a.Run(ctx))
}
