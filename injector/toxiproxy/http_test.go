package toxiproxy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestAPI(t *testing.T) {
	r := newRig(t)
	f := func(method, path, body string, code int, want string) {
		t.Helper()
		got, text := r.do(method, path, body)
		require.Equal(t, code, got, text)
		require.Equal(t, want, text)
	}
	const p = `{"name":"p","listen":"127.0.0.1:1234","upstream":"up:1","enabled":true,"toxics":[]}`
	f("GET", "/version", "", 200, `{"version":"redlane"}`)
	f("GET", "/proxies", "", 200, `{}`)
	f("POST", "/proxies", `{"name": "p", "listen": "localhost:0", "upstream": "up:1", "odd": 1}`, 201, p)
	f("POST", "/proxies", `{"name": "p", "listen": "localhost:0", "upstream": "up:1"}`, 409, `{"error":"proxy already exists","status":409}`)
	f("POST", "/proxies", `{"listen": "localhost:0", "upstream": "up:1"}`, 400, `{"error":"missing required field: name","status":400}`)
	f("POST", "/proxies", `{"name": "q"}`, 400, `{"error":"missing required field: upstream","status":400}`)
	f("POST", "/proxies", `{"name"`, 400, `{"error":"bad request body: unexpected EOF","status":400}`)
	f("POST", "/proxies", `{"name": "q", "listen": "nowhere:1", "upstream": "up:1"}`, 500, `{"error":"listen: no such host","status":500}`)
	f("POST", "/proxies", `{"name": "q", "upstream": "nowhere:1"}`, 500, `{"error":"upstream: no such host","status":500}`)
	f("GET", "/proxies", "", 200, `{"p":`+p+`}`)
	f("GET", "/proxies/p", "", 200, p)
	f("GET", "/proxies/q", "", 404, `{"error":"proxy not found","status":404}`)
	f("GET", "/proxies/p/toxics", "", 200, `[]`)
	f("GET", "/proxies/q/toxics", "", 404, `{"error":"proxy not found","status":404}`)

	const toxic = `{"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":1,"attributes":{"latency":7,"jitter":0}}`
	f("POST", "/proxies/p/toxics", `{"type": "latency", "attributes": {"latency": 7}}`, 200, toxic)
	f("POST", "/proxies/p/toxics", `{"type": "latency"}`, 409, `{"error":"toxic already exists","status":409}`)
	f("POST", "/proxies/p/toxics", `{"type": "latancy"}`, 400, `{"error":"invalid toxic type","status":400}`)
	f("POST", "/proxies/p/toxics", `{"type": "latency", "stream": "sideways"}`, 400, `{"error":"stream was invalid, can be either upstream or downstream","status":400}`)
	f("POST", "/proxies/p/toxics", `{"type": "timeout", "toxicity": 1.1}`, 400, `{"error":"bad request body: toxicity: want 0 to 1, found 1.1","status":400}`)
	f("POST", "/proxies/p/toxics", `{"type": "timeout", "attributes": {"timeout": -1}}`, 400, `{"error":"bad request body: timeout: must not be negative, found -1","status":400}`)
	f("POST", "/proxies/p/toxics", `{"type": "timeout", "ttl": "soon"}`, 400, `{"error":"bad request body: ttl: want a duration such as 30s, found \"soon\"","status":400}`)
	f("POST", "/proxies/q/toxics", `{"type": "latency"}`, 404, `{"error":"proxy not found","status":404}`)
	f("GET", "/proxies/p/toxics/latency_downstream", "", 200, toxic)
	f("GET", "/proxies/p/toxics/odd", "", 404, `{"error":"toxic not found","status":404}`)
	const changed = `{"name":"latency_downstream","type":"latency","stream":"downstream","toxicity":0.5,"attributes":{"latency":7,"jitter":3}}`
	f("PATCH", "/proxies/p/toxics/latency_downstream", `{"toxicity": 0.5, "attributes": {"jitter": 3}}`, 200, changed)
	f("POST", "/proxies/p/toxics/latency_downstream", `{}`, 200, changed)
	f("POST", "/proxies/p/toxics/latency_downstream", `{"attributes": {"latency": 9, "jitter": "x"}}`, 400, `{"error":"bad request body: json: cannot unmarshal string into Go struct field latency.jitter of type int64","status":400}`)
	f("GET", "/proxies/p/toxics", "", 200, `[`+changed+`]`)
	f("POST", "/proxies/p/toxics/odd", `{}`, 404, `{"error":"toxic not found","status":404}`)
	f("POST", "/proxies/p/toxics", `{"type": "timeout", "stream": "upstream", "name": "up", "ttl": "9s"}`, 200, `{"name":"up","type":"timeout","stream":"upstream","toxicity":1,"attributes":{"timeout":0},"ttl":"9s"}`)
	f("DELETE", "/proxies/p/toxics/latency_downstream", "", 204, "")
	f("DELETE", "/proxies/p/toxics/latency_downstream", "", 404, `{"error":"toxic not found","status":404}`)
	f("DELETE", "/proxies/q/toxics/a", "", 404, `{"error":"proxy not found","status":404}`)

	down := strings.Replace(strings.Replace(p, "true", "false", 1), `"toxics":[]`, `"toxics":[{"name":"up","type":"timeout","stream":"upstream","toxicity":1,"attributes":{"timeout":0},"ttl":"9s"}]`, 1)
	f("PATCH", "/proxies/p", `{"enabled": false}`, 200, down)
	require.Empty(t, r.books.routes)
	f("PATCH", "/proxies/p", `{"listen": "", "upstream": ""}`, 200, down)
	f("POST", "/proxies/q", `{}`, 404, `{"error":"proxy not found","status":404}`)
	f("POST", "/halt", "", 200, `{"halted":2}`)
	f("POST", "/halt", "", 200, `{"halted":0}`)
	require.Len(t, r.books.routes, 1)
	f("GET", "/proxies/p", "", 200, p)
	f("POST", "/reset", "", 204, "")
	f("POST", "/populate", `[{"name": "p", "listen": "127.0.0.1:1234", "upstream": "up:1"}, {"name": "q", "upstream": "up:2", "listen": ":0", "enabled": false}]`, 201,
		`{"proxies":[`+p+`,{"name":"q","listen":":0","upstream":"up:2","enabled":false,"toxics":[]}]}`)
	f("POST", "/populate", `[{"name": "x", "upstream": "up:1"}, {"name": "y"}]`, 400, `{"error":"missing required field: upstream at proxy 2","status":400,"proxies":null}`)
	f("POST", "/populate", `[null]`, 400, `{"error":"bad request body: proxy 1 is null","status":400,"proxies":null}`)
	f("POST", "/populate", `{}`, 400, `{"error":"bad request body: json: cannot unmarshal object into Go value of type []*toxiproxy.wanted","status":400,"proxies":null}`)
	f("GET", "/proxies/x", "", 404, `{"error":"proxy not found","status":404}`)
	f("DELETE", "/proxies/p", "", 204, "")
	f("DELETE", "/proxies/p", "", 404, `{"error":"proxy not found","status":404}`)

	code, _ := r.do("PUT", "/proxies", "")
	require.Equal(t, 405, code)
	code, _ = r.do("GET", "/elsewhere", "")
	require.Equal(t, 404, code)
	w := httptest.NewRecorder()
	browser := httptest.NewRequest("POST", "/reset", nil)
	browser.Header.Set("User-Agent", "Mozilla/5.0")
	r.handler.ServeHTTP(w, browser)
	require.Equal(t, http.StatusForbidden, w.Code)
}

// Whoever cannot have what is asked for keeps what was.
func TestFailedChangeChangesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.must("POST", "/proxies", `{"name": "down", "listen": "127.0.0.1:9", "upstream": "127.0.0.1:1", "enabled": false}`)
		r.toxic(`{"type": "latency", "attributes": {"latency": 10}}`)
		c := r.flow("p")
		before := r.must("GET", "/proxies", "")
		r.books.refuse.Store(true)
		for _, what := range [][3]string{
			{"PATCH", "/proxies/p", `{"listen": "127.0.0.1:9"}`},
			{"PATCH", "/proxies/p", `{"enabled": false}`},
			{"PATCH", "/proxies/down", `{"enabled": true}`},
			{"DELETE", "/proxies/p", ""},
			{"POST", "/proxies", `{"name": "q", "upstream": "127.0.0.1:1"}`},
		} {
			code, text := r.do(what[0], what[1], what[2])
			require.Equal(t, 500, code)
			require.JSONEq(t, `{"error": "address already in use", "status": 500}`, text)
			require.Equal(t, before, r.must("GET", "/proxies", ""), what)
			require.NotZero(t, c.down(1).Delay)
		}
		code, _ := r.do("POST", "/reset", "")
		require.Equal(t, 500, code)
		require.Zero(t, c.down(1), "what can be stopped is stopped")
	})
}

// Nothing that hurts outlives its lease, and so nobody who forgot it.
func TestLeasesEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go func() { _ = r.Run(ctx) }() // ends with the bubble
		r.proxied()
		r.must("POST", "/proxies", `{"name": "made so", "listen": "127.0.0.1:9", "upstream": "127.0.0.1:1", "enabled": false}`)
		r.toxic(`{"type": "latency", "attributes": {"latency": 10}}`)
		r.toxic(`{"type": "slow_close", "attributes": {"delay": 10}, "ttl": "20s"}`)
		r.toxic(`{"type": "bandwidth", "attributes": {"rate": 10}, "ttl": "20m"}`)
		c := r.flow("p")
		require.Equal(t, traffic.Shape{Delay: 10 * time.Millisecond, Linger: 10 * time.Millisecond, Rate: 10_000}, c.down(1))
		time.Sleep(20*time.Second - 1)
		require.NotZero(t, c.down(1).Linger)
		woken := r.books.woken.Load()
		time.Sleep(time.Nanosecond)
		require.Zero(t, c.down(1).Linger)
		time.Sleep(time.Millisecond)
		require.Greater(t, r.books.woken.Load(), woken, "idle connections are told")
		require.NotContains(t, r.must("GET", "/proxies", ""), "slow_close")

		r.change("latency_downstream", `{}`) // a renewal
		time.Sleep(40 * time.Second)
		require.Equal(t, traffic.Shape{Delay: 10 * time.Millisecond}, c.down(1), "the server's maximum is a minute")
		time.Sleep(20 * time.Second)
		require.Zero(t, c.down(1))

		r.must("POST", "/proxies/p", `{"enabled": false}`)
		time.Sleep(time.Minute - 1)
		require.Contains(t, r.must("GET", "/proxies/p", ""), `"enabled":false`)
		r.books.refuse.Store(true)
		time.Sleep(time.Second / 2)
		require.Contains(t, r.must("GET", "/proxies/p", ""), `"enabled":false`)
		r.books.refuse.Store(false)
		time.Sleep(time.Second)
		require.Contains(t, r.must("GET", "/proxies/p", ""), `"enabled":true`)
		require.Contains(t, r.must("GET", "/proxies/made%20so", ""), `"enabled":false`)
		time.Sleep(time.Hour)
		require.Contains(t, r.must("GET", "/proxies/made%20so", ""), `"enabled":false`)
	})
}

// A lease is over when its time is, also where nobody takes it away.
func TestLeaseEndsWithoutRun(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.toxic(`{"type": "latency", "attributes": {"latency": 10}, "ttl": "5s"}`)
		r.toxic(`{"type": "timeout", "ttl": "9s"}`)
		c := r.flow("p")
		require.NotZero(t, c.down(1).Delay)
		time.Sleep(5 * time.Second)
		require.Equal(t, traffic.Shape{Hole: true}, c.down(1))
		r.toxic(`{"type": "latency", "attributes": {"latency": 20}, "ttl": "5s"}`) // the name is free
		time.Sleep(4 * time.Second)
		require.Equal(t, traffic.Shape{End: traffic.EndClose}, c.down(1))
	})
}

// Every call of Toxiproxy's own client library.
func TestClientLibrary(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.handler)
	defer server.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	c := client.NewClient(server.URL)

	version, err := c.Version()
	require.NoError(t, err)
	require.JSONEq(t, `{"version": "redlane"}`, string(version))
	p, err := c.CreateProxy("p", "localhost:0", "up:1")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1234", p.Listen)
	require.True(t, p.Enabled)
	_, err = c.CreateProxy("p", "localhost:0", "up:1")
	require.ErrorContains(t, err, "HTTP 409: proxy already exists")
	require.NoError(t, p.Disable())
	require.False(t, p.Enabled)
	require.NoError(t, p.Enable())
	p.Upstream = "up:2"
	require.NoError(t, p.Save())

	toxic, err := p.AddToxic("", "latency", "", -1, client.Attributes{"latency": 100, "jitter": 5})
	require.NoError(t, err)
	require.Equal(t, &client.Toxic{Name: "latency_downstream", Type: "latency", Stream: "downstream", Toxicity: 1, Attributes: client.Attributes{"latency": 100.0, "jitter": 5.0}}, toxic)
	toxic, err = p.UpdateToxic("latency_downstream", -1, client.Attributes{"jitter": 7})
	require.NoError(t, err)
	require.Equal(t, client.Attributes{"latency": 100.0, "jitter": 7.0}, toxic.Attributes)
	require.Equal(t, float32(1), toxic.Toxicity)
	_, err = c.AddToxic(&client.ToxicOptions{ProxyName: "p", ToxicName: "limit", ToxicType: "limit_data", Stream: "upstream", Toxicity: 0.25, Attributes: client.Attributes{"bytes": 9}})
	require.NoError(t, err)
	_, err = c.UpdateToxic(&client.ToxicOptions{ProxyName: "p", ToxicName: "limit", Toxicity: 0.75, Attributes: client.Attributes{}})
	require.NoError(t, err)
	toxics, err := p.Toxics()
	require.NoError(t, err)
	require.Len(t, toxics, 2)
	require.Equal(t, client.Toxic{Name: "limit", Type: "limit_data", Stream: "upstream", Toxicity: 0.75, Attributes: client.Attributes{"bytes": 9.0}}, toxics[0])
	require.NoError(t, c.RemoveToxic(&client.ToxicOptions{ProxyName: "p", ToxicName: "limit"}))
	require.NoError(t, p.RemoveToxic("latency_downstream"))
	require.EqualError(t, p.RemoveToxic("latency_downstream"), "HTTP 404: toxic not found")

	all, err := c.Populate([]client.Proxy{{Name: "p", Listen: p.Listen, Upstream: p.Upstream, Enabled: true}, {Name: "q", Listen: "localhost:7", Upstream: "up:3", Enabled: true}})
	require.NoError(t, err)
	require.Len(t, all, 2)
	q, err := c.Proxy("q")
	require.NoError(t, err)
	require.Equal(t, "up:3", q.Upstream)
	_, err = q.AddToxic("t", "timeout", "upstream", 1, nil)
	require.NoError(t, err)
	require.NoError(t, q.Disable())
	require.NoError(t, c.ResetState())
	byName, err := c.Proxies()
	require.NoError(t, err)
	require.Len(t, byName, 2)
	require.True(t, byName["q"].Enabled)
	require.Empty(t, byName["q"].ActiveToxics)
	require.NoError(t, q.Delete())
	_, err = c.Proxy("q")
	require.EqualError(t, err, "HTTP 404: proxy not found")
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.proxied()
	r.toxic(`{"type": "latency"}`)
	x, _ := r.open("p")
	x.Request.BodySize, x.Response.BodySize = 10, 20
	r.Filter().Response(x)
	text := r.must("GET", "/metrics", "")
	require.Contains(t, text, `toxiproxy_proxy_received_bytes_total{direction="upstream",listener="127.0.0.1:1234",proxy="p",upstream="127.0.0.1:1"} 10`)
	require.Contains(t, text, `toxiproxy_proxy_received_bytes_total{direction="downstream",listener="127.0.0.1:1234",proxy="p",upstream="127.0.0.1:1"} 20`)
	require.Contains(t, text, `toxiproxy_proxy_toxics{proxy="p"} 1`)
}

// Whatever is asked: no panic, and an answer in the API's form.
func FuzzAPI(f *testing.F) {
	f.Add("POST", "proxies/p/toxics", `{"type": "slicer", "attributes": {"average_size": 1, "size_variation": 9e15}}`)
	f.Add("POST", "populate", `[{"name": "a/b c@d", "upstream": "up:1"}]`)
	f.Add("PATCH", "proxies/p", `{"listen": "[::1]:0", "enabled": false}`)
	f.Add("PATCH", "proxies/p/toxics/t", `{"attributes": null, "toxicity": 1e300}`)
	f.Add("POST", "proxies/p/toxics", `{"type": "latency", "attributes": {"latency": 9223372036854775807, "jitter": 9223372036854775807}}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r := newRig(t)
		r.proxied()
		r.toxic(`{"type": "timeout", "name": "t"}`)
		c := r.flow("p")
		req, err := http.NewRequest(method, "http://api/"+path, strings.NewReader(body))
		if err != nil || req.URL.Path == "/metrics" {
			return
		}
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		if w.Code >= 300 && w.Header().Get("Content-Type") == "application/json" {
			var said struct {
				Error  string
				Status int
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &said), w.Body.String())
			require.Equal(t, w.Code, said.Status)
			require.NotContains(t, said.Error, "\n")
		}
		for range 3 {
			s := c.down(1)
			require.True(t, s.Delay >= 0 && s.Rate >= 0 && s.Slice >= 0 && s.Pause >= 0 && s.Limit >= 0 && s.Again >= 0 && s.Linger >= 0, "%+v", s)
		}
	})
}
