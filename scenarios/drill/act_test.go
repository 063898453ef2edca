package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/clock"
)

// The providers do what those of the same name do in stock runners.
func TestProviders(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(map[string]any{"saw": fmt.Sprintf("%s %s %s %s", r.Method, r.URL, body, r.Header.Get("X-Token"))})
	}))
	defer server.Close()
	a := &actor{
		clock: clock.System, http: &http.Client{Transport: &http.Transport{}}, config: values{"base": server.URL, "n": 3},
		secrets: map[string]values{"mine": {"token": "s3cret"}},
	}
	defer a.http.CloseIdleConnections()
	f := func(p Provider, want string) {
		t.Helper()
		if p.Type == "" {
			p.Type = "http"
		}
		out := a.do(context.Background(), &Activity{Provider: p})
		got := out.failure()
		if m, ok := out.Output.(map[string]any); ok && got == "" {
			got = fmt.Sprint(m["body"], m["status"])
			if p.Type == "process" {
				got = fmt.Sprint(m["status"], " ", m["stdout"], m["stderr"])
			}
		}
		require.Contains(t, got, want)
	}
	args := map[string]any{"a": "${n}", "b": "x y"}
	f(Provider{Method: "GET", URL: "${base}/p?q=1", Arguments: args}, "map[saw:GET /p?a=3&b=x+y&q=1  ] 200")
	f(Provider{Method: "POST", URL: "${base}/p", Arguments: args}, "map[saw:POST /p a=3&b=x+y ] 200")
	json := map[string]string{"Content-Type": "application/json", "X-Token": "${token}"}
	f(Provider{Method: "POST", URL: "${base}/p", Arguments: args, Headers: json}, `saw:POST /p {"a":3,"b":"x y"} ${token}`)
	f(Provider{Method: "DELETE", URL: "${base}/p", Headers: json, Secrets: []string{"mine"}}, `saw:DELETE /p  s3cret`)
	f(Provider{Method: "GET", URL: "${base}/p", Expected: 201}, "want status 201, found 200")
	f(Provider{Method: "GET", URL: "${base}/slow", Timeout: time.Millisecond}, "deadline exceeded")
	f(Provider{Method: "GET", URL: "http://127.0.0.1:1"}, "refused")
	f(Provider{Type: "process", Path: "echo", Arguments: []any{"a", 1}}, "0 a 1\n")
	f(Provider{Type: "process", Path: "echo", Arguments: "a  ${n}"}, "0 a 3\n")
	f(Provider{Type: "process", Path: "echo", Arguments: map[string]any{"--a": 1, "--b": ""}}, "0 --a 1 --b\n")
	f(Provider{Type: "process", Path: "false"}, "1 ")
	f(Provider{Type: "process", Path: "no such program"}, "run no such program")
	f(Provider{Type: "process", Path: "sleep", Arguments: "60", Timeout: 10 * time.Millisecond}, "deadline exceeded")
}
