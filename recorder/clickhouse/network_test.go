package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
)

// Blocks are compressed on a network and not on loopback, both ways, and are the same blocks. 0.0.0.0
// leads to this machine, and does not look as if it did.
func TestBlocksAreCompressedOnANetwork(t *testing.T) {
	s := chtest.Start(t)
	xs := many(rand.New(rand.NewPCG(32, 32)), 3000, usual)
	dir := tapeOf(t, xs, tape.Config{})
	f := func(host string) (sent, read int) {
		t.Helper()
		in, out := testkit.NewRelay(t, s.Addr), testkit.NewRelay(t, s.Addr)
		at := func(r *testkit.Relay) string {
			return "clickhouse://" + strings.Replace(r.Addr, "127.0.0.1", host, 1) + "/lab?recording=" + host
		}
		store(t, Config{To: at(in), Tape: dir})
		requireSame(t, inOrder(xs), readAll(t, at(out)))
		count := func(r *testkit.Relay, fromServer bool) (n int) {
			for _, conn := range r.Close() {
				for _, p := range conn {
					if p.FromServer == fromServer {
						n += len(p.Data)
					}
				}
			}
			return n
		}
		return count(in, false), count(out, true)
	}
	sent, read := f("127.0.0.1")
	compressed, compressedRead := f("0.0.0.0")
	require.Less(t, compressed, sent*3/4)
	require.Less(t, compressedRead, read*3/4)
	t.Logf("bytes of an exchange: sent %d and with LZ4 %d, read %d and %d", sent/len(xs), compressed/len(xs), read/len(xs), compressedRead/len(xs))
}

// A server with too many parts refuses inserts. They are made again, and when it has merged them everything is there once.
func TestTooManyPartsAreWaitedOut(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=parts"
	store(t, Config{To: "clickhouse://" + s.Addr + "/lab?recording=before", Tape: tapeOf(t, many(rand.New(rand.NewPCG(33, 33)), 10, usual), tape.Config{})})
	db := fleetOf(t, must(t, url)).dbs[0]
	for _, text := range []string{"SYSTEM STOP MERGES", "ALTER TABLE lab.exchange MODIFY SETTING parts_to_delay_insert = 3, parts_to_throw_insert = 3"} {
		require.NoError(t, db.Exec(t.Context(), text))
	}
	xs := many(rand.New(rand.NewPCG(34, 34)), 5000, usual)
	var refused atomic.Int32 // two frames are in flight
	u, err := New(Config{To: url, Tape: tapeOf(t, xs, tape.Config{}), Logf: func(format string, a ...any) {
		require.Contains(t, fmt.Sprintf(format, a...), "Too many parts")
		if refused.Add(1) == 5 {
			require.NoError(t, db.Exec(t.Context(), "ALTER TABLE lab.exchange MODIFY SETTING parts_to_delay_insert = 1000, parts_to_throw_insert = 3000"))
		}
	}})
	require.NoError(t, err)
	u.knobs.rows = 500
	require.NoError(t, u.Run(t.Context()))
	require.GreaterOrEqual(t, refused.Load(), int32(5))
	requireSame(t, inOrder(xs), readAll(t, url))
}
