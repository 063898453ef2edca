package clickhouse

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
)

// What has had its time the server drops, when it merges, and nothing else. That it is gone is no hole in the books:
// the recording is still listed, with when it was to go, and reading it ends plainly.
func TestTheServerDropsWhatHasHadItsTime(t *testing.T) {
	s := chtest.Start(t)
	at := "clickhouse://" + s.Addr + "/lab?recording="
	xs := many(rand.New(rand.NewPCG(35, 35)), 1000, usual)
	dir := tapeOf(t, xs, tape.Config{})
	store(t, Config{To: at + "short&keep=1s", Tape: dir})
	store(t, Config{To: at + "long&keep=1h", Tape: dir})
	store(t, Config{To: at + "ever", Tape: dir})
	db := fleetOf(t, must(t, at+"short")).dbs[0]
	require.Eventually(t, func() bool {
		require.NoError(t, db.Exec(t.Context(), "OPTIMIZE TABLE lab.exchange FINAL"))
		n, err := Count(t.Context(), at+"short")
		require.NoError(t, err)
		return n == 0
	}, 30*time.Second, 200*time.Millisecond)
	r, err := Stat(t.Context(), at+"short")
	require.NoError(t, err)
	require.True(t, r.Complete)
	require.EqualValues(t, len(xs), r.Announced)
	require.True(t, r.Expires.Before(time.Now()))
	require.Empty(t, readAll(t, at+"short"))
	for _, name := range []string{"long", "ever"} {
		requireSame(t, inOrder(xs), readAll(t, at+name))
	}
}
