package clickhouse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// startCluster runs n servers that know each other as the shards of cluster lab.
func startCluster(t testing.TB, n int) []*chtest.Server {
	var xml strings.Builder
	addrs := testkit.FreeAddrs(t, n)
	slices.Sort(addrs) // as an address lists them
	for _, addr := range addrs {
		_, port, _ := strings.Cut(addr, ":")
		fmt.Fprintf(&xml, "<shard><replica><host>127.0.0.1</host><port>%s</port></replica></shard>", port)
	}
	path := filepath.Join(t.TempDir(), "lab.xml")
	require.NoError(t, os.WriteFile(path, []byte("<clickhouse><remote_servers><lab>"+xml.String()+"</lab></remote_servers></clickhouse>"), 0o600))
	var servers []*chtest.Server
	for _, addr := range addrs {
		servers = append(servers, chtest.Start(t, "--listen", addr, "--config", path))
	}
	return servers
}

// Two servers are two shards. One of them goes away in the middle and comes back: every exchange is there
// once, in order, on the server that its session belongs to.
func TestTwoShardsOneOfThemDown(t *testing.T) {
	t.Parallel()
	s := startCluster(t, 2)
	for _, url := range []string{
		"clickhouse://" + s[0].Addr + "/lab?cluster=lab&recording=cluster",
		"clickhouse://" + s[1].Addr + "," + s[0].Addr + "/hosts?recording=hosts",
	} {
		xs := many(rand.New(rand.NewPCG(20, 20)), 9000, usual)
		w, err := tape.Create(filepath.Join(t.TempDir(), "tape"), tape.Config{})
		require.NoError(t, err)
		u, err := New(Config{To: url, Writer: w})
		require.NoError(t, err)
		u.knobs.rows = 500
		done := make(chan error, 1)
		go func() { done <- u.Run(t.Context()) }()
		put := func(xs []traffic.Exchange) {
			for i := range xs {
				require.NoError(t, w.Append(&xs[i]))
			}
			require.NoError(t, w.Sync())
		}
		put(xs[:3000])
		require.Eventually(t, func() bool { l := u.Ledger(); return l.Passed == 3000 }, 20*time.Second, 5*time.Millisecond)
		s[1].Kill()
		put(xs[3000:6000])
		time.Sleep(500 * time.Millisecond)
		l := u.Ledger()
		require.Equal(t, uint64(3000), l.Passed)
		require.Greater(t, l.Accepted, uint64(3000)) // of which the other server has its part
		s[1].Restart()
		put(xs[6000:])
		require.NoError(t, w.Close())
		require.NoError(t, <-done)
		requireSame(t, inOrder(xs), readAll(t, url))

		r, err := Stat(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, uint64(9000), r.Exchanges)
		require.Equal(t, 2, r.Nodes)
		require.True(t, r.Complete)
		f := fleetOf(t, must(t, url))
		for i, db := range f.dbs {
			var n, strangers uint64
			require.NoError(t, db.QueryRow(t.Context(), "SELECT count(), countIf(shard % 2 != ?) FROM "+f.table("exchange"), i).Scan(&n, &strangers))
			require.NotZero(t, n)
			require.Zero(t, strangers)
		}

		_, err = Open(t.Context(), "clickhouse://"+s[0].Addr+"/"+f.Database, f.Recording)
		require.ErrorContains(t, err, "is spread over 2 servers, and the address stands for 1: name them all, or their cluster")
	}

	// People see all of it from either server, and what they insert lies where redlane would put it.
	f := fleetOf(t, must(t, "clickhouse://"+s[1].Addr+"/lab?cluster=lab&recording=cluster"))
	for i, db := range f.dbs {
		var n uint64
		require.NoError(t, db.QueryRow(t.Context(), "SELECT uniqExact(id) FROM lab.exchange_all WHERE rec != 1").Scan(&n))
		require.Equal(t, uint64(9000), n)
		require.NoError(t, db.Exec(t.Context(), "INSERT INTO lab.exchange_all (rec, shard, ts) SETTINGS distributed_foreground_insert = 1 SELECT 1, number % 16, now64(9) FROM numbers(160)"))
		require.NoError(t, db.QueryRow(t.Context(), "SELECT countIf(shard % 2 = ?) FROM lab.exchange WHERE rec = 1", i).Scan(&n))
		require.Equal(t, uint64(80*(i+1)), n)
	}

	require.NoError(t, Remove(t.Context(), "clickhouse://"+s[0].Addr+"/lab?cluster=lab&recording=cluster", false))
	list, err := List(t.Context(), "clickhouse://"+s[1].Addr+"/lab?cluster=lab")
	require.NoError(t, err)
	require.Empty(t, list)
	var n uint64
	require.NoError(t, f.dbs[0].QueryRow(t.Context(), "SELECT count() FROM lab.exchange_all WHERE rec != 1").Scan(&n))
	require.Zero(t, n)
}

func TestAClusterThatIsNotThere(t *testing.T) {
	s := startCluster(t, 1)
	_, err := List(t.Context(), "clickhouse://"+s[0].Addr+"/lab?cluster=labs")
	require.ErrorContains(t, err, `cluster "labs" has 0 shards: want 1 to 16, in remote_servers of every server`)
	_, err = List(context.Background(), "clickhouse://127.0.0.1:1,"+s[0].Addr+"/lab?cluster=lab")
	require.NoError(t, err, "one host that answers is enough to find the others")
}

// What was sent to two servers is not cut for three.
func TestACutOffInsertKeepsItsServers(t *testing.T) {
	c := &cursor{Nodes: 2, Flight: []frozenRange{{}}}
	require.EqualError(t, c.place(3), "there are 3 servers now and were 2 when the last insert was cut off: make it 2 again until this upload has ended")
	require.NoError(t, c.place(2))
	c.Flight = nil
	require.NoError(t, c.place(3))
	one, three := c.token(&frame{instance: "ab", from: 1, to: 2}, 1), new(cursor).token(&frame{instance: "ab", from: 1, to: 2}, 0)
	require.Equal(t, "/ab/1-2/1.3", one)
	require.Equal(t, "/ab/1-2", three)
}
