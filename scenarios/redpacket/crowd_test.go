package redpacket

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCrowdShakesAndLooks(t *testing.T) {
	s := start(t, Config{}, nil)
	r, err := Crowd(context.Background(), CrowdConfig{Target: s.addr["gateway"], Rate: 100, For: 2 * time.Second, Users: 50, Seed: 1, Timeout: 30 * time.Second})
	require.NoError(t, err)
	require.EqualValues(t, 200, r.Requests)
	require.Equal(t, map[string]uint64{"200": r.Requests}, r.Status)
	require.Zero(t, r.Errors)
	require.GreaterOrEqual(t, r.DueP99, r.SentP50)
	require.Contains(t, r.String(), "200 requests")
	require.Zero(t, s.holds())
	c := s.report("gateway").Invariants[0].Counts
	require.EqualValues(t, r.Requests, c["shakes"]+c["balances"])
	require.Greater(t, c["shakes"], 2*c["balances"])
	require.Positive(t, s.report("account").counts()["credited"])
}

// What the crowd sends is the same for the same seed, is spread over the users, keeps its connections and
// bears no mark of the tool that sends it.
func TestCrowdLooksLikeUsers(t *testing.T) {
	play := func(seed uint64) (users map[string]int, conns int) {
		users = map[string]int{}
		remotes := map[string]bool{}
		var mu sync.Mutex
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			for name := range r.Header {
				if strings.Contains(strings.ToLower(name), "vegeta") || strings.Contains(strings.ToLower(name), "lane") {
					t.Errorf("header %s", name)
				}
			}
			remotes[r.RemoteAddr] = true
			users[r.Method+" "+r.URL.Query().Get("user")]++
			w.WriteHeader(http.StatusTeapot)
		}))
		defer server.Close()
		r, err := Crowd(context.Background(), CrowdConfig{Target: server.Listener.Addr().String(), Rate: 1000, For: 300 * time.Millisecond, Users: 10, Seed: seed, Workers: 4, Connections: 4})
		require.NoError(t, err)
		require.Equal(t, r.Requests, r.Errors)
		require.Equal(t, r.Requests, r.Status["418"])
		return users, len(remotes)
	}
	a, conns := play(1)
	require.LessOrEqual(t, conns, 8, "connections are kept, and a worker that is served elsewhere opens one more")
	require.Len(t, a, 21) // 10 users twice, and POST without a query
	b, _ := play(1)
	require.Equal(t, a, b)
	c, _ := play(2)
	require.NotEqual(t, a, c)
}

func TestCrowdStopsWhenTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	r, err := Crowd(ctx, CrowdConfig{Target: server.Listener.Addr().String(), Rate: 100, For: time.Hour})
	require.NoError(t, err)
	require.Less(t, time.Since(began), 5*time.Second)
	require.Less(t, r.Requests, uint64(100))
	require.Equal(t, uint64(360_000)-r.Requests, r.Unsent)
}

// A service that stalls makes later requests late: from due that shows, from sent it would not.
func TestCrowdDoesNotOmitWhatWaited(t *testing.T) {
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { time.Sleep(400 * time.Millisecond) })
	}))
	defer server.Close()
	r, err := Crowd(context.Background(), CrowdConfig{Target: server.Listener.Addr().String(), Rate: 100, For: 600 * time.Millisecond, Workers: 1})
	require.NoError(t, err)
	require.EqualValues(t, 60, r.Requests)
	require.Greater(t, r.DueP50, 5*r.SentP50)
	require.Greater(t, r.DueP99, 300*time.Millisecond)
}

func TestNobodyThere(t *testing.T) {
	r, err := Crowd(context.Background(), CrowdConfig{Target: "127.0.0.1:1", Rate: 50, For: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, r.Requests, r.Errors)
	require.Equal(t, r.Requests, r.Status["none"])
}

func TestCrowdConfigErrors(t *testing.T) {
	f := func(want string, cfg CrowdConfig) {
		t.Helper()
		_, err := Crowd(context.Background(), cfg)
		require.EqualError(t, err, "run crowd: "+want)
	}
	f(`target "gateway": want host:port`, CrowdConfig{Target: "gateway"})
	f(`rate: want 1 to 1000000 a second, found 0`, CrowdConfig{Target: "h:1"})
	f(`for: want up to 24h0m0s, such as 50s, found 0s`, CrowdConfig{Target: "h:1", Rate: 1})
	f(`users, workers and timeout must not be negative`, CrowdConfig{Target: "h:1", Rate: 1, For: 1, Users: -1})
}
