package replayer

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// Everything is sent exactly once, in the order of each session, on one connection per session, and never
// before it is due.
func TestReplayKeepsSessions(t *testing.T) {
	t.Parallel()
	f := func(t *testing.T, rate string, list []traffic.Exchange, sessions int, atLeast time.Duration) {
		t.Parallel()
		var r conf.Rate
		require.NoError(t, r.UnmarshalText([]byte(rate)))
		tt := serve(t, nil)
		res := replay(t, Config{To: tt.to(), Rate: r}, list)

		got := tt.arrivals()
		require.Len(t, got, len(list), "each exactly once")
		next, conn := map[string]int{}, map[string]string{}
		for _, a := range got {
			require.Equal(t, strconv.Itoa(next[a.session]), a.seq, "session %s", a.session)
			next[a.session]++
			if conn[a.session] == "" {
				conn[a.session] = a.conn
			}
			require.Equal(t, conn[a.session], a.conn, "session %s changed its connection", a.session)
			require.Equal(t, []string{"red"}, a.lanes)
		}
		require.Equal(t, sessions, tt.connections())
		require.EqualValues(t, sessions, res.Connections)
		require.EqualValues(t, sessions, res.Sessions)
		require.Zero(t, res.Reconnects)

		require.EqualValues(t, len(list), res.Ledger.Accepted)
		require.EqualValues(t, len(list), res.Ledger.Passed)
		require.EqualValues(t, len(list), res.Compared)
		require.Zero(t, res.Mismatched)
		require.NoError(t, res.Valid())
		require.GreaterOrEqual(t, got[len(got)-1].at.Sub(res.Started), atLeast, "the last came before it was due")
		require.InEpsilon(t, float64(len(list)-1)/atLeast.Seconds(), res.Asked, 0.001)
		require.LessOrEqual(t, res.Achieved, res.Asked*1.001)
	}
	t.Run("1x", func(t *testing.T) { f(t, "1x", steady(500, 20, time.Millisecond), 20, 499*time.Millisecond) })
	t.Run("10x", func(t *testing.T) { f(t, "10x", steady(5000, 50, time.Millisecond), 50, 499900*time.Microsecond) })
	t.Run("0.5x", func(t *testing.T) { f(t, "0.5x", steady(100, 5, time.Millisecond), 5, 198*time.Millisecond) })
	t.Run("1000/s", func(t *testing.T) { f(t, "1000/s", steady(300, 300, time.Hour), 300, 299*time.Millisecond) })
	t.Run("2000/s", func(t *testing.T) { f(t, "2000/s", steady(500*2, 500, 0), 500, 999*time.Second/2000) })
}

// The same arrivals come from a shuffled recording as from a sorted one.
func TestReplayPutsARecordingInOrder(t *testing.T) {
	t.Parallel()
	list := steady(400, 20, time.Millisecond)
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	tt := serve(t, nil)
	res := replay(t, Config{To: tt.to()}, list)
	require.Zero(t, res.Disorder)
	require.NoError(t, res.Valid())
	next := map[string]int{}
	for _, a := range tt.arrivals() {
		require.Equal(t, strconv.Itoa(next[a.session]), a.seq)
		next[a.session]++
		session, _ := strconv.Atoi(a.session)
		seq, _ := strconv.Atoi(a.seq)
		require.GreaterOrEqual(t, a.at.Sub(res.Started), time.Duration(seq*20+session-1)*time.Millisecond, "early")
	}

	// With nothing held back the disorder shows, and nothing is sent early or lost.
	res = replay(t, Config{To: tt.to(), Reorder: 1}, list)
	require.NotZero(t, res.Disorder)
	require.ErrorContains(t, res.Valid(), "out of order")
	require.EqualValues(t, len(list), res.Ledger.Passed)
}

// While the server stalls, requests stay due at their times. Seen from the due time the stall is there;
// seen from sending most of it is not.
func TestReplayDoesNotOmitAStall(t *testing.T) {
	var stall sync.RWMutex
	var arrived atomic.Int32
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == 1000 {
			stall.Lock()
			time.AfterFunc(time.Second, stall.Unlock)
		}
		stall.RLock()
		defer stall.RUnlock()
	})
	list := steady(4000, 40, time.Second/2000)
	res := replay(t, Config{To: tt.to()}, list)
	require.EqualValues(t, len(list), res.Ledger.Passed)
	require.GreaterOrEqual(t, res.Total.Due.Quantile(0.99), 900*time.Millisecond)
	require.GreaterOrEqual(t, res.Total.Lag.Quantile(0.99), 800*time.Millisecond, "sessions wait for their answer")
	require.Less(t, res.Total.Sent.Quantile(0.95), 500*time.Millisecond, "only one request per session was out")
	require.Less(t, res.Pace.Quantile(0.9), 500*time.Millisecond, "the stall is not the replayer's doing")
	require.NotZero(t, res.Waited)
}

// A late answer in one session changes nothing for the others.
func TestReplayIsOpenAcrossSessions(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var arrived atomic.Int32
	tt := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == 181 { // all that do not depend on the first answer of session 1
			close(release)
		}
		if r.Header.Get("X-Session") == "1" {
			<-release
		}
	})
	list := steady(200, 10, time.Millisecond)
	res := replay(t, Config{To: tt.to()}, list)
	got := tt.arrivals()
	require.Len(t, got, 200)
	for _, a := range got[:181] {
		require.True(t, a.session != "1" || a.seq == "0", "session 1 waits for its answer, the others do not wait for it")
	}
	require.GreaterOrEqual(t, res.Waited, uint64(19)) // a slow machine makes others wait too
	require.Zero(t, res.Pipelined, "the recording did not pipeline")
}

func TestReplayWaitsWhereTheRecordingPipelined(t *testing.T) {
	t.Parallel()
	list := steady(10, 1, 100*time.Microsecond) // recorded latency is 1 ms
	tt := serve(t, nil)
	res := replay(t, Config{To: tt.to()}, list)
	require.EqualValues(t, 9, res.Pipelined)
	require.EqualValues(t, 10, res.Ledger.Passed)
	require.Equal(t, 1, tt.connections())
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	ids := func(seed uint64, lane traffic.Color) (out []string) {
		tt := serve(t, nil)
		replay(t, Config{To: tt.to(), Seed: seed, Lane: lane, Rate: conf.Rate{Times: 100}}, steady(50, 5, time.Millisecond))
		for _, a := range tt.arrivals() {
			out = append(out, a.session+"/"+a.seq+" "+a.id)
		}
		slices.Sort(out)
		return out
	}
	first := ids(42, "red")
	require.Equal(t, first, ids(42, "blue"))
	require.NotEqual(t, first, ids(43, "red"))
	unique := map[string]bool{}
	for _, id := range first {
		unique[id[len(id)-36:]] = true
	}
	require.Len(t, unique, 50)
}

func TestReplayComparesWithTheRecording(t *testing.T) {
	t.Parallel()
	tt := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Session") == "2" {
			w.WriteHeader(503)
		}
	})
	list := steady(40, 4, 100*time.Microsecond)
	for i := range list {
		if list[i].Session == 3 {
			list[i].Response.Status = 0 // unanswered in the recording: nothing to compare with
		}
		if list[i].Session == 4 {
			list[i].Response.Status = 201
		}
	}
	res := replay(t, Config{To: tt.to()}, list)
	require.EqualValues(t, 30, res.Compared)
	require.EqualValues(t, 20, res.Mismatched)
	require.Equal(t, []Mismatch{{200, 503, 10}, {201, 200, 10}}, res.Mismatches)
	require.EqualValues(t, 10, res.Total.Errors.Status5xx)
	require.Equal(t, map[int]uint64{200: 30, 503: 10}, res.Statuses)
	require.EqualValues(t, 40, res.Ledger.Passed, "a 503 is an answer")
}

func TestCellsFollowTheDueTime(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	list := []traffic.Exchange{exchange(1, 0, 0), exchange(2, 0, 999*time.Millisecond), exchange(3, 0, 1001*time.Millisecond)}
	res := replay(t, Config{To: tt.to()}, list)
	require.Len(t, res.Cells, 2)
	for i, n := range []uint64{2, 1} {
		require.Equal(t, i, res.Cells[i].Second)
		require.Equal(t, n, res.Cells[i].Count)
		require.Equal(t, 2, res.Cells[i].Class)
		require.Equal(t, traffic.Color("red"), res.Cells[i].Lane)
	}
}

func TestProgressComesOnceASecond(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	var seen []Progress
	res := replay(t, Config{To: tt.to(), Progress: func(p Progress) { seen = append(seen, p) }}, steady(250, 4, 10*time.Millisecond))
	require.Len(t, seen, 2)
	require.GreaterOrEqual(t, seen[0].Released, uint64(100))
	require.InDelta(t, 100, seen[0].Asked, 30)
	require.NotZero(t, seen[0].P99)
	require.Less(t, seen[0].Answered, seen[1].Answered)
	require.LessOrEqual(t, seen[1].Answered, res.Ledger.Passed)
	require.LessOrEqual(t, seen[1].Waiting, uint64(220))
}
