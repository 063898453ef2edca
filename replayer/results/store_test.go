package results

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chconn"
	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

var update = flag.Bool("update", false, "write the file of deploy/clickhouse")

// What deploy/clickhouse shows is what a replay sends.
func TestDeployedSchemaIsOurs(t *testing.T) {
	const path = "../../deploy/clickhouse/results.sql"
	want := Script("redlane")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run go test ./replayer/results -run Deploy -update")
}

// found is what a worker may have found: routes × seconds cells of odd times.
func found(seed, seconds, routes int) *replayer.Result {
	r := &replayer.Result{
		Version: replayer.ResultVersion, To: "127.0.0.1:9000", Lane: "red", Rate: "5x", Seed: 1<<63 + 7, Workers: 1, Step: 1,
		Started: time.Unix(1_700_000_000, 123_456_789).UTC(), Elapsed: time.Minute, LagLimit: 10 * time.Millisecond,
		Ledger: traffic.Ledger{Stage: "replay"}, Released: 100, LastDue: time.Second, Sent: 100, LastSent: time.Second,
	}
	x := uint64(seed)*2654435761 + 1
	for second := range seconds {
		for route := range routes {
			c := replayer.Cell{Second: second, Lane: "red", Route: fmt.Sprintf("GET /%d/*", route), Status: 200 + route%2, Class: 2}
			for range 30 {
				x = x*6364136223846793005 + 1442695040888963407
				d := time.Duration(x >> (24 + x>>59))
				c.Count++
				c.Due.Record(d)
				c.Sent.Record(d / 2)
				c.Lag.Record(d / 1000)
			}
			c.Errors.Timeout = uint64(route)
			r.Total.Add(&c.Stats)
			r.Cells = append(r.Cells, c)
		}
	}
	r.Ledger.Accepted, r.Ledger.Passed = r.Total.Count+3, r.Total.Count
	r.Ledger.Drop("connect", 3)
	r.Pace.Record(time.Millisecond)
	return r
}

func open(t testing.TB, s *chtest.Server, run, worker string) *Store {
	t.Helper()
	store, err := OpenStore(t.Context(), StoreConfig{Login: chconn.Login{Hosts: []string{s.Addr}, User: "default"}, Database: "lab", Run: run, Worker: worker})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

func requireQuantiles(t testing.TB, db driver.Conn, where string, want *replayer.Stats) {
	t.Helper()
	for _, h := range []struct {
		name string
		hist *hdr.Hist
	}{{"due", &want.Due}, {"sent", &want.Sent}, {"lag", &want.Lag}} {
		for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
			var got int64
			query := fmt.Sprintf("SELECT %s FROM (SELECT sumMap(%[2]s_ns, %[2]s_n) AS m FROM lab.replay_cell WHERE %[3]s)", QuantileSQL("m", q), h.name, where)
			require.NoError(t, db.QueryRow(t.Context(), query).Scan(&got), query)
			require.Equal(t, h.hist.Quantile(q), time.Duration(got), "%s q=%v %s", h.name, q, where)
		}
	}
	var n, failed uint64
	require.NoError(t, db.QueryRow(t.Context(), "SELECT sum(requests), sum(connect + reset + timeout + protocol + status_5xx) FROM lab.replay_cell WHERE "+where).Scan(&n, &failed))
	require.Equal(t, want.Count, n)
	require.Equal(t, want.Errors.Sum(), failed)
}

// Quantiles from SQL are ours: of one worker, and of two together as Merge has them. What is stored twice is there once.
func TestSQLAgrees(t *testing.T) {
	s := chtest.Start(t)
	a, b := found(1, 700, 3), found(2, 100, 4)
	stores := []*Store{open(t, s, "eve", "a"), open(t, s, "eve", "b")}
	for range 2 {
		require.NoError(t, stores[0].Put(t.Context(), a))
		require.NoError(t, stores[1].Put(t.Context(), b))
	}
	db := stores[0].db
	requireQuantiles(t, db, "worker = 'a'", &a.Total)
	sum := new(replayer.Result)
	sum.Merge(a)
	sum.Merge(b)
	requireQuantiles(t, db, "run = 'eve'", &sum.Total)
	var one replayer.Stats
	for i := range sum.Cells {
		if sum.Cells[i].Route == "GET /1/*" {
			one.Add(&sum.Cells[i].Stats)
		}
	}
	requireQuantiles(t, db, "route = 'GET /1/*'", &one)

	var requests, failed uint64
	var p99, lagP99 int64
	require.NoError(t, db.QueryRow(t.Context(), "SELECT requests, failed, due_p99_ns, lag_p99_ns FROM lab.replay_latency WHERE run = 'eve' AND route = 'GET /1/*'").Scan(&requests, &failed, &p99, &lagP99))
	require.Equal(t, one.Count, requests)
	require.Equal(t, one.Errors.Sum(), failed)
	require.Equal(t, one.Due.Quantile(0.99), time.Duration(p99))
	require.Equal(t, one.Lag.Quantile(0.99), time.Duration(lagP99))

	// As the guide says.
	guide, err := os.ReadFile("../../docs/results.md")
	require.NoError(t, err)
	_, query, _ := strings.Cut(string(guide), "```sql\n")
	query, _, _ = strings.Cut(query, "```")
	query = strings.NewReplacer("redlane.", "lab.", "'eve-5x'", "'eve'").Replace(query)
	rows, err := db.Query(t.Context(), query)
	require.NoError(t, err)
	seen := false
	for rows.Next() {
		var route string
		var n uint64
		var ms float64
		require.NoError(t, rows.Scan(&route, &n, &ms))
		if route == "GET /1/*" {
			seen = true
			require.Equal(t, one.Count, n)
			require.InDelta(t, float64(one.Due.Quantile(0.99))/1e6, ms, 1e-9)
		}
	}
	require.NoError(t, rows.Close())
	require.True(t, seen)

	var started time.Time
	var seed, cells, stored uint64
	var dropped map[string]uint64
	var invalid string
	require.NoError(t, db.QueryRow(t.Context(), "SELECT started, seed, cells, dropped, invalid FROM lab.replay_run FINAL WHERE worker = 'a'").Scan(&started, &seed, &cells, &dropped, &invalid))
	require.True(t, a.Started.Equal(started))
	require.Equal(t, a.Seed, seed)
	require.EqualValues(t, 2100, cells)
	require.Equal(t, a.Ledger.Dropped, dropped)
	require.Empty(t, invalid)
	require.NoError(t, db.QueryRow(t.Context(), "SELECT count() FROM lab.replay_cell WHERE worker = 'a'").Scan(&stored))
	require.EqualValues(t, 2100, stored)

	_, err = OpenStore(t.Context(), StoreConfig{Login: chconn.Login{Hosts: []string{s.Addr}, User: "default"}, Database: "lab", Run: "eve", Worker: "a"})
	require.ErrorIs(t, err, ErrRunExists)
}

// The store goes away in the middle and comes back: every cell and every request is there once.
func TestStoreGoesAway(t *testing.T) {
	s := chtest.Start(t)
	store := open(t, s, "eve", "")
	w, err := Open(Config{Store: store, Target: "127.0.0.1:9000", Wait: true})
	require.NoError(t, err)
	for i := range 100 {
		w.Hand(batch(i*500, 500))
		if i == 50 {
			s.KillEngine()
		}
	}
	l, err := w.Close()
	require.NoError(t, err)
	require.NoError(t, l.Balance())
	require.EqualValues(t, 50_000, l.Passed)

	r := found(3, 900, 5)
	var wg sync.WaitGroup
	wg.Go(func() { s.KillEngine() })
	require.NoError(t, store.Put(t.Context(), r))
	wg.Wait()
	require.NoError(t, store.Put(t.Context(), r), "an answer that was lost is asked for again")
	var n, seqs uint64
	require.NoError(t, store.db.QueryRow(t.Context(), "SELECT count(), uniqExact(seq) FROM lab.replay_request").Scan(&n, &seqs))
	require.EqualValues(t, 50_000, n)
	require.EqualValues(t, 50_000, seqs)
	requireQuantiles(t, store.db, "run = 'eve'", &r.Total)
}

// A store that does not come back ends the stream after its patience, with all that it lacks counted, and Put with
// one line.
func TestStoreStaysAway(t *testing.T) {
	s := chtest.Start(t)
	store := open(t, s, "eve", "")
	store.cfg.Patience = 200 * time.Millisecond
	s.Stop()
	w, err := Open(Config{Store: store, Wait: true})
	require.NoError(t, err)
	for i := range 30 {
		w.Hand(batch(i*500, 500))
	}
	l, err := w.Close()
	require.ErrorContains(t, err, `write stream: store results of run "eve": clickhouse://`+s.Addr)
	require.NoError(t, l.Balance())
	require.EqualValues(t, map[string]uint64{"write-failed": 15_000}, l.Dropped)
	err = store.Put(t.Context(), found(1, 2, 1))
	require.ErrorContains(t, err, "connection refused")
	require.False(t, strings.Contains(err.Error(), "\n"))
}
