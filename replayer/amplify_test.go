package replayer

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer/rewrite"
)

func rules(t *testing.T, cfg rewrite.Config) *rewrite.Rules {
	r, err := rewrite.New(cfg)
	require.NoError(t, err)
	return r
}

// Each clone has a connection and request ids of its own and keeps the order of its session.
func TestClonesAreSessions(t *testing.T) {
	for _, spread := range []time.Duration{0, 50 * time.Millisecond} {
		const sessions, each, clones = 10, 8, 7
		tt := serve(t, nil)
		res := replay(t, Config{To: tt.to(), Rewrite: rules(t, rewrite.Config{Clones: clones, Spread: spread}), Reorder: 2}, steady(sessions*each, sessions, time.Millisecond))
		require.EqualValues(t, sessions*each*clones, res.Ledger.Passed)
		require.EqualValues(t, sessions*each*clones, res.Ledger.Accepted)
		require.EqualValues(t, sessions*clones, res.Sessions)
		require.Equal(t, sessions*clones, tt.connections())
		require.Zero(t, res.Disorder)
		ids, next := make(map[string]bool), make(map[string]int)
		for _, a := range tt.arrivals() {
			ids[a.id] = true
			require.Equal(t, fmt.Sprint(next[a.conn]), a.seq)
			next[a.conn]++
		}
		require.Len(t, ids, sessions*each*clones)
	}
}

// Without a spread clones are due when the original is; with one each session keeps its own times.
func TestDueTimesOfClones(t *testing.T) {
	f := func(spread time.Duration) map[uint64][]time.Duration {
		r := rules(t, rewrite.Config{Clones: 4, Spread: spread, Seed: 1})
		run, err := newRun(Config{To: "x:1", Lane: "red", UnsafeTarget: true, Rewrite: r, Reorder: 1, Window: 1 << 30})
		require.NoError(t, err)
		run.ahead = newAhead(1<<30, 1, func(int) {})
		feed := run.newFeed(&memorySource{list: steady(60, 3, 10*time.Millisecond)})
		require.NoError(t, feed.run(t.Context()))
		require.Zero(t, feed.disorder)
		due := make(map[uint64][]time.Duration)
		for _, it := range feed.ahead.drain() {
			due[it.session] = append(due[it.session], it.due)
		}
		require.Len(t, due, 12)
		return due
	}
	together, apart := f(0), f(time.Second)
	for session := range uint64(3) {
		r := rules(t, rewrite.Config{Clones: 4, Spread: time.Second, Seed: 1})
		for clone := range 4 {
			id := r.Session(session+1, clone)
			require.Equal(t, together[session+1], together[id])
			late := r.Delay(session+1, clone)
			for i, due := range apart[id] {
				require.Equal(t, together[id][i]+late, due)
			}
		}
	}
}

// What a session has learned outlives its connections.
func TestLearnedValuesOutliveConnections(t *testing.T) {
	tokens := make(chan string, 10)
	tt := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/login" {
			w.Header().Set("X-Token", "17c0d94be2f8a653")
			return
		}
		body, _ := io.ReadAll(r.Body)
		tokens <- r.Header.Get("X-Token") + " " + r.URL.Path + " " + string(body)
	})
	list := steady(3, 1, 20*time.Millisecond)
	list[0].Request.Target = []byte("/login")
	list[0].Response.Headers = headers("X-Token", "8f3a9c2e41d07b65")
	for i := 1; i < 3; i++ {
		m := &list[i].Request
		m.Method, m.Target = []byte("POST"), []byte("/a/8f3a9c2e41d07b65")
		m.Headers = append(m.Headers, headers("X-Token", "8f3a9c2e41d07b65", "Transfer-Encoding", "chunked")...)
		m.Body = []byte("{\"t\":\"8f3a9c2e41d07b65\"}" + strings.Repeat(" ", i))
		m.BodySize = int64(len(m.Body))
	}
	res := replay(t, Config{To: tt.to(), Rewrite: rules(t, rewrite.Config{Learn: rewrite.LearnOn})}, list)
	require.EqualValues(t, 3, res.Ledger.Passed)
	require.EqualValues(t, 3, res.Connections)
	for i := 1; i < 3; i++ {
		require.Equal(t, "17c0d94be2f8a653 /a/17c0d94be2f8a653 {\"t\":\"17c0d94be2f8a653\"}"+strings.Repeat(" ", i), <-tokens)
	}
	require.EqualValues(t, 1, res.Rewritten.Learned)
	require.EqualValues(t, 6, res.Rewritten.Substituted)
}

// A request whose value never came is sent as it was recorded, and counted.
func TestUnresolvedValuesAreCounted(t *testing.T) {
	tt := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			panic(http.ErrAbortHandler)
		}
	})
	list := steady(2, 1, 20*time.Millisecond)
	list[0].Request.Method, list[0].Request.Target = []byte("POST"), []byte("/login")
	list[0].Response.Headers = headers("X-Token", "8f3a9c2e41d07b65")
	list[1].Request.Headers = append(list[1].Request.Headers, headers("X-Token", "8f3a9c2e41d07b65")...)
	res := replay(t, Config{To: tt.to(), Rewrite: rules(t, rewrite.Config{Learn: rewrite.LearnOn})}, list)
	require.EqualValues(t, 1, res.Rewritten.Unresolved)
	require.Equal(t, "8f3a9c2e41d07b65", tt.arrivals()[1].header.Get("X-Token"))
}

// The window bounds clones as it bounds sessions, and everything taken is given back.
func TestClonesStayInTheWindow(t *testing.T) {
	tt := serve(t, nil)
	w := 64 << 10
	res := replay(t, Config{To: tt.to(), Rate: conf.Rate{Times: 10}, Window: conf.Bytes(w), Rewrite: rules(t, rewrite.Config{Learn: rewrite.LearnOn, Clones: 20})}, steady(200, 10, time.Millisecond))
	require.EqualValues(t, 4000, res.Ledger.Passed)
}
