package redpacket

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestWholeChain(t *testing.T) {
	s := start(t, Config{Seeds: 100, Budget: 12_345, Win: 1, Seed: 7}, nil)
	total := int64(0)
	packets := map[string]bool{}
	for i, shake := range []func() (int, string){
		func() (int, string) { return s.do("gateway", "POST", "/shake", `{"user":"u1"}`) },
		func() (int, string) { return s.do("gateway", "POST", "/shake?user=u1", "") },
		func() (int, string) { return s.do("gateway", "POST", "/shake?user=u1", "ignored") },
	} {
		status, body := shake()
		require.Equal(t, 200, status, body)
		won := decode[Shaken](t, body)
		require.True(t, won.Won, i)
		require.Equal(t, "credited", won.State)
		require.Positive(t, won.Amount)
		require.False(t, packets[won.Packet])
		packets[won.Packet] = true
		total += won.Amount
	}
	status, body := s.do("gateway", "POST", "/shake?user=u1", "")
	require.Equal(t, 200, status)
	require.Equal(t, Shaken{User: "u1", State: "limit"}, decode[Shaken](t, body))

	_, body = s.do("gateway", "GET", "/balance?user=u1", "")
	require.Equal(t, Balance{User: "u1", Balance: total, Packets: 3}, decode[Balance](t, body))
	_, body = s.do("gateway", "GET", "/balance?user=u2", "")
	require.Equal(t, Balance{User: "u2"}, decode[Balance](t, body))
	require.Zero(t, s.holds())

	f := func(want int, method, path, body string) {
		t.Helper()
		got, text := s.do("gateway", method, path, body)
		require.Equal(t, want, got, text)
	}
	f(400, "POST", "/shake", "")
	f(400, "POST", "/shake", "{")
	f(400, "POST", "/shake", `{"user":"a b"}`)
	f(400, "POST", "/shake", `{"usr":"a"}`)
	f(400, "GET", "/balance", "")
	f(403, "GET", "/balance?user=red.u1", "")
	f(405, "GET", "/shake?user=u1", "")
	f(404, "GET", "/nowhere", "")
	f(200, "GET", "/healthz", "")
	require.Zero(t, s.holds(), "what users do wrong breaks nothing")
}

func TestPoolRunsDryAndAllMoneyIsOut(t *testing.T) {
	s := start(t, Config{Seeds: 40, Budget: 4001, Win: 1}, nil)
	var wg sync.WaitGroup
	for u := range 20 {
		wg.Go(func() {
			for range 5 {
				if status, body := s.do("gateway", "POST", fmt.Sprintf("/shake?user=u%d", u), ""); status != 200 {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, s.holds())
	a := s.report("account").Invariants[0].Counts
	require.EqualValues(t, 4001, a["money_in_accounts"])
	require.EqualValues(t, 40, a["credited"])
	_, body := s.do("gateway", "POST", "/shake?user=late", "")
	require.Equal(t, "pool empty", decode[Shaken](t, body).State)
}

func TestSameUserSameLuckInEveryLane(t *testing.T) {
	play := func(lane traffic.Color) (won []bool) {
		s := start(t, Config{Lane: lane, Seed: 3}, nil)
		for i := range 40 {
			_, body := s.do("gateway", "POST", fmt.Sprintf("/shake?user=u%d", i%20), "")
			won = append(won, decode[Shaken](t, body).Won)
		}
		require.Zero(t, s.holds())
		return won
	}
	base := play("")
	require.Equal(t, base, play("red"))
	require.Contains(t, base, true)
	require.Contains(t, base, false)
}

func TestLanesStayApart(t *testing.T) {
	base, red := start(t, Config{Win: 1}, nil), start(t, Config{Lane: "red", Win: 1}, nil)

	_, body := red.do("gateway", "POST", "/shake?user=u1", "")
	won := decode[Shaken](t, body)
	require.Equal(t, "red.u1", won.User)
	require.Equal(t, "red.p0", won.Packet)
	_, body = red.do("gateway", "GET", "/balance?user=red.u1", "")
	require.Equal(t, Balance{"red.u1", won.Amount, 1}, decode[Balance](t, body))
	_, body = base.do("gateway", "GET", "/balance?user=u1", "")
	require.Zero(t, decode[Balance](t, body).Balance, "the baseline's u1 won nothing")
	base.holds()
	red.holds()
	require.Equal(t, map[string]int64{"red": 1, "baseline": 0, "other": 0}, red.report("packet").Colors)

	// Refused and counted, wherever it comes in, and the invariant says so.
	f := func(s *system, service string, want int, method, path, body string, headers ...string) {
		t.Helper()
		before := s.report(service)
		status, text := s.do(service, method, path, body, headers...)
		require.Equal(t, want, status, text)
		after := s.report(service)
		count := func(r Report) int64 {
			c := r.Invariants[len(r.Invariants)-1].Counts
			return c["escapes"] + c["foreign_ids"]
		}
		require.Equal(t, count(before)+1, count(after))
		if service != "gateway" || want == 421 {
			require.False(t, after.OK)
		}
	}
	f(base, "gateway", 403, "GET", "/balance?user=red.u1", "")
	f(red, "gateway", 403, "POST", "/shake", `{"user":"blue.u1"}`)
	require.True(t, red.report("gateway").OK, "refusing what comes from outside is the gateway's job")
	for _, service := range Services() {
		f(base, service, 421, "POST", "/any", "", "X-Lane", "red")
		f(base, service, 421, "POST", "/any", "", "Baggage", "a=b, lane=red;p=1")
		f(red, service, 421, "POST", "/any", "", "X-Lane", "blue")
		f(red, service, 421, "POST", "/any", "", "X-Lane", "")
	}
	f(base, "account", 403, "GET", "/balance?account=red.u1", "")
	f(red, "account", 403, "POST", "/credit", `{"packet":"p1","account":"red.u1","amount":1}`)
	f(red, "account", 403, "POST", "/credit", `{"packet":"red.p1","account":"u1","amount":1}`)
	f(red, "packet", 403, "POST", "/open", `{"packet":"blue.p1","user":"red.u1"}`)
	f(base, "shake", 403, "POST", "/shake", `{"user":"red.u1"}`)
	require.EqualValues(t, 1, red.report("account").Invariants[0].Counts["accounts"], "nothing of it was booked")
}

func TestEmptyLaneHeaderIsNotTheBaseline(t *testing.T) {
	h := http.Header{"X-Lane": {""}}
	require.Equal(t, traffic.Color("?"), colorOf(h))
	require.Equal(t, traffic.Color(""), colorOf(http.Header{"Baggage": {"lanes=red"}}))
}

// A well-behaved application hands on what belongs to the request, and nothing of its own making.
func TestHeadersAreForwardedOverEveryHop(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]http.Header{}
	s := start(t, Config{Lane: "red", Win: 1}, func(caller, callee, addr string) string {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
		tap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[caller+" -> "+callee] = r.Header.Clone()
			mu.Unlock()
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(tap.Close)
		return tap.Listener.Addr().String()
	})
	sent := []string{
		"Baggage", "user=1,lane=red", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Tracestate", "a=b", "X-Request-Id", "id-1",
	}
	status, body := s.do("gateway", "POST", "/shake?user=u1", "", append(sent, "Cookie", "secret")...)
	require.Equal(t, 200, status, body)
	s.do("gateway", "GET", "/balance?user=u1", "", sent...)
	require.Len(t, seen, 4)
	for edge, h := range seen {
		require.Equal(t, "red", h.Get("X-Lane"), edge)
		for i := 0; i < len(sent); i += 2 {
			require.Equal(t, []string{sent[i+1]}, h[sent[i]], edge)
		}
		require.Empty(t, h.Get("Cookie"), edge)
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(want string, cfg Config) {
		t.Helper()
		require.EqualError(t, Run(context.Background(), cfg), "run redpacket: "+want)
	}
	on := "127.0.0.1:0"
	f(`no service "acount" (did you mean "account"?)`, Config{Service: "acount"})
	f(`account: no address to listen on`, Config{Service: "account"})
	f(`account: lane "Red": not a colour`, Config{Service: "account", Listen: on, Lane: "Red"})
	f(`gateway: where is account? (it calls shake and account)`, Config{Service: "gateway", Listen: on, Upstreams: map[string]string{"shake": on}})
	f(`packet: calls no "acount" (did you mean "account"?)`, Config{Service: "packet", Listen: on, Upstreams: map[string]string{"acount": on}})
	f(`seeds: want 1 to 10000000, found -1`, Config{Service: "account", Listen: on, Seeds: -1})
	f(`budget: 99 cents do not fill 100 packets`, Config{Service: "account", Listen: on, Seeds: 100, Budget: 99})
	f(`win: want 0% to 100%, found 200%`, Config{Service: "account", Listen: on, Win: 2})
	require.ErrorContains(t, Run(context.Background(), Config{Service: "account", Listen: "256.0.0.1:1"}), "run redpacket account: listen tcp")
}
