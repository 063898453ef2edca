package clickhouse

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// What two servers say about a recording adds up to what was recorded.
func TestSummaryOverTwoServers(t *testing.T) {
	t.Parallel()
	url := "clickhouse://" + chtest.Start(t).Addr + "," + chtest.Start(t).Addr + "/lab?recording=sum"
	xs := many(rand.New(rand.NewPCG(30, 30)), 4000, usual)
	var slow []time.Duration
	for i := range xs {
		x := &xs[i]
		x.Start = t0 + int64(i)*int64(time.Millisecond)
		x.Request.Target = []byte("/fast")
		switch {
		case i%4 == 0:
			x.Request.Target, x.Latency = []byte("/slow"), time.Duration(i)*time.Millisecond
			slow = append(slow, x.Latency)
		case i%100 == 1:
			x.Response.Status = 500
		case i == 7:
			x.Latency = -1 // a clock stepped back
		case i == 11:
			x.Latency = 1 << 62
		}
	}
	xs[2].Start, xs[3].Start = xs[1000].Start, xs[1000].Start // 1002 in the second second
	xs[0].Weight = 11
	store(t, Config{To: url, Tape: tapeOf(t, xs, tape.Config{})})
	s, err := Summarise(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(4000), s.Exchanges)
	require.Equal(t, 2, s.Nodes)
	require.Equal(t, shards, s.Shards)
	require.InDelta(t, 4010, s.StandFor, 1e-6)
	require.Equal(t, uint64(1002), s.Peak)
	require.Equal(t, t0/1e9+1, s.PeakAt.Unix())
	require.NotZero(t, s.Bytes)
	require.Len(t, s.Groups, 3)
	f := func(g *Group, route string, status int, n uint64) {
		t.Helper()
		require.Equal(t, []any{"packet", route, status, n}, []any{g.Service, g.Route, g.Status, g.Exchanges})
	}
	f(&s.Groups[0], "/fast", 200, 2960)
	f(&s.Groups[1], "/slow", 200, 1000)
	f(&s.Groups[2], "/fast", 500, 40)
	slices.Sort(slow)
	require.InEpsilon(t, float64(slow[985]), float64(s.Groups[1].Quantile(0.99)), 0.03) // the heavy one is the fastest
	require.InEpsilon(t, float64(slow[495]), float64(s.Groups[1].Quantile(0.5)), 0.03)
	require.Greater(t, s.Groups[0].Quantile(1), time.Hour)
	require.Zero(t, new(Latencies).Quantile(0.5))
}

// A recording that is being written says so, stays when somebody removes it, and goes when they insist.
func TestARecordingThatIsBeingWritten(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=live"
	w, err := tape.Create(filepath.Join(t.TempDir(), "tape"), tape.Config{})
	require.NoError(t, err)
	u, err := New(Config{To: url + "&keep=1h", Writer: w, Drain: time.Second})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- u.Run(t.Context()) }()
	xs := many(rand.New(rand.NewPCG(31, 31)), 100, usual)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Sync())
	require.Eventually(t, func() bool { l := u.Ledger(); return l.Passed == 100 }, 20*time.Second, 5*time.Millisecond)
	r, err := Stat(t.Context(), url)
	require.NoError(t, err)
	require.False(t, r.Complete)
	require.Equal(t, uint64(100), r.Exchanges)
	require.WithinDuration(t, time.Now(), r.Updated, time.Minute)
	require.WithinDuration(t, time.Now().Add(time.Hour), r.Expires, time.Minute)
	require.ErrorIs(t, Remove(t.Context(), url, false), ErrIncomplete)
	require.NoError(t, Remove(t.Context(), url, true))
	_, err = Stat(t.Context(), url)
	require.ErrorContains(t, err, `no recording "live"`)
	require.NoError(t, w.Close())
	require.NoError(t, <-done) // with a time to live the store need not have all of it
}

// A recording that has lost exchanges does not end as if it were whole.
func TestReadingFewerThanWereStored(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=less"
	store(t, Config{To: url, Tape: tapeOf(t, many(rand.New(rand.NewPCG(32, 32)), 100, usual), tape.Config{})})
	db := fleetOf(t, must(t, url)).dbs[0]
	require.NoError(t, db.Exec(t.Context(), "DELETE FROM lab.exchange WHERE seq = 50"))
	src, err := Open(t.Context(), url, "")
	require.NoError(t, err)
	defer src.Close()
	var x traffic.Exchange
	for range 99 {
		require.NoError(t, src.Next(t.Context(), &x))
	}
	err = src.Next(t.Context(), &x)
	require.NotErrorIs(t, err, io.EOF)
	require.ErrorContains(t, err, "the ledger does not balance: 100 exchanges were acknowledged, the store gave 99")
}

// Parts of a recording hold whole sessions, and all parts together hold everything once.
func TestPartsOfARecording(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=parts"
	xs := many(rand.New(rand.NewPCG(33, 33)), 2000, usual)
	store(t, Config{To: url, Tape: tapeOf(t, xs, tape.Config{})})
	partOf := map[uint64]int{}
	n := 0
	for part := range 3 {
		src, err := OpenPart(t.Context(), url, "", part, 3)
		require.NoError(t, err)
		var x traffic.Exchange
		last := int64(0)
		for err = src.Next(t.Context(), &x); err == nil; err = src.Next(t.Context(), &x) {
			require.GreaterOrEqual(t, x.Start, last)
			last = x.Start
			if p, ok := partOf[x.Session]; ok {
				require.Equal(t, p, part)
			}
			partOf[x.Session] = part
			n++
		}
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, src.Close())
	}
	require.Equal(t, 2000, n)
	_, err := OpenPart(t.Context(), url, "", 3, 3)
	require.ErrorContains(t, err, "read part 3 of 3")
}
