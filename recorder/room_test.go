package recorder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// onTape holds the tape against the books: all that was passed is there or has expired, once, and whole.
func onTape(t *testing.T, dir string, books traffic.Ledger) *tape.Report {
	t.Helper()
	rep, err := tape.Verify(dir)
	require.NoError(t, err)
	require.True(t, rep.OK(), "%s", rep)
	require.Zero(t, rep.Lost)
	require.Equal(t, books.Passed, rep.Exchanges+rep.Expired)
	seen := map[uint64]bool{}
	read(t, dir, func(x *traffic.Exchange) {
		require.False(t, seen[x.ID], "exchange %d is there twice", x.ID)
		seen[x.ID] = true
	})
	return rep
}

// A real disk fills up and is emptied, several times. The tap never waits; what it could not keep is counted to the last,
// and recording goes on without anybody's help.
func TestRecordingOntoAFullDisk(t *testing.T) {
	small := testkit.SmallDisk(t, 4<<20)
	var stops, resumes atomic.Int64
	cfg := Config{FlushEvery: 5 * time.Millisecond, Tape: tape.Config{Codec: tape.None, SyncEvery: 5 * time.Millisecond, SegmentBytes: 256 << 10, Keep: tape.Keep{Bytes: 2 << 20}}}
	cfg.Logf = func(format string, _ ...any) {
		if strings.HasPrefix(format, "recording stops") {
			stops.Add(1)
		} else {
			resumes.Add(1)
		}
	}
	cfg.To = filepath.Join(small, "tape")
	r, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	seq := uint64(0)
	pass64 := func() {
		for range 64 {
			pass(r.Filter(), exchange(1+seq%8, seq), strings.Repeat("q", 200), strings.Repeat("p", 200))
			seq++
		}
		time.Sleep(200 * time.Microsecond)
	}
	until := func(n *atomic.Int64, want int64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); n.Load() < want; pass64() {
			require.True(t, time.Now().Before(end), "%s", r.Ledger())
		}
	}
	for round := range int64(3) {
		ballast := testkit.FillDisk(t, small, 100<<10)
		until(&stops, round+1)
		for range 20 {
			pass64()
		}
		require.NoError(t, os.Remove(ballast))
		until(&resumes, round+1)
		for range 20 {
			pass64()
		}
	}
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, r.Err())
	books := r.Ledger()
	require.NoError(t, books.Balance())
	require.Equal(t, seq, books.Accepted)
	require.Greater(t, books.Dropped["disk"], uint64(3*64))
	require.Equal(t, books.Lost(), books.Dropped["disk"]+books.Dropped["pages"])
	onTape(t, cfg.To, books)
}

// Whoever may wait for room, as a file may, loses nothing at a quota: it goes on when the store has taken some.
func TestWaitingForTheQuota(t *testing.T) {
	l := start(t, Config{Wait: true, FlushEvery: time.Millisecond, PageMemory: 1 << 20, Tape: tape.Config{Codec: tape.None, SyncEvery: time.Millisecond, Quota: 1 << 20}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := make(chan uint64)
	var at atomic.Uint64
	var stops int
	released := make(chan struct{})
	go func() { // the store lags: it has nothing until there is no room
		defer close(released)
		for ctx.Err() == nil {
			if l.Tape().Full() != nil {
				stops++
				l.Tape().Release(at.Load())
			}
			time.Sleep(time.Millisecond)
		}
	}()
	go func() {
		f := l.Tape().Follow(0)
		defer f.Close()
		n := uint64(0)
		for {
			b, err := f.Next(ctx)
			if err != nil {
				followed <- n
				return
			}
			n += uint64(b.Count)
			at.Store(f.At())
		}
	}()
	const all = 10_000
	for seq := range uint64(all) {
		pass(l.Filter(), exchange(1, seq), strings.Repeat("q", 300), strings.Repeat("p", 300))
	}
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, all, books.Passed)
	require.EqualValues(t, all, <-followed)
	cancel()
	<-released
	require.NotZero(t, stops, "the quota was never reached")
	require.NotZero(t, onTape(t, l.dir, books).Expired)
}

// The clock is set back by an hour, and forward by two, while exchanges come: nothing waits, nothing is lost, and the tape
// is read in the order of its times.
func TestTheClockIsSet(t *testing.T) {
	clk := new(testkit.Clock)
	l := start(t, Config{Clock: clk, FlushEvery: 2 * time.Millisecond, Tape: tape.Config{SyncEvery: 2 * time.Millisecond, SegmentBytes: 20_000, Keep: tape.Keep{Age: 24 * time.Hour}}})
	seq := uint64(0)
	for _, step := range []time.Duration{0, -time.Hour, 2 * time.Hour, -time.Minute} {
		clk.Step(step)
		before := l.Ledger().Passed
		for range 200 {
			x := exchange(1+seq%8, seq)
			x.Start = clk.Now().UnixNano()
			pass(l.Filter(), x, "a", "b")
			seq++
		}
		require.Eventually(t, func() bool { return l.Ledger().Passed == before+200 }, 10*time.Second, time.Millisecond, "it waits for the hour to pass again")
	}
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 800, books.Passed)
	onTape(t, l.dir, books)
	last := int64(0)
	read(t, l.dir, func(x *traffic.Exchange) {
		require.GreaterOrEqual(t, x.Start, last)
		last = x.Start
	})
}

// 64 MiB both ways are one record, kept whole where the limit allows.
func TestTwoBodiesOf64MiB(t *testing.T) {
	const size = 64 << 20
	l := start(t, Config{BodyLimit: size})
	x := exchange(1, 0)
	request, answer := testkit.Noise(size, 1), testkit.Noise(size, 2)
	f := l.Filter()
	f.Request(x)
	for i := 0; i < size; i += 1 << 20 {
		f.RequestBody(x, request[i:i+1<<20])
		f.ResponseBody(x, answer[i:i+1<<20])
	}
	x.Request.BodySize, x.Response.BodySize = size, size
	f.Response(x)
	books, err := l.stop()
	require.NoError(t, err)
	require.EqualValues(t, 1, books.Passed, "%s", &books)
	onTape(t, l.dir, books)
	read(t, l.dir, func(x *traffic.Exchange) {
		require.True(t, bytes.Equal(request, x.Request.Body))
		require.True(t, bytes.Equal(answer, x.Response.Body))
		require.Zero(t, x.Flags)
	})
}
