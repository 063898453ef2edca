package tape

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/traffic"
)

// put appends xs in blocks of 50.
func put(t testing.TB, w *Writer, xs []traffic.Exchange) {
	t.Helper()
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
		if i%50 == 49 {
			require.NoError(t, w.Flush())
		}
	}
}

// whole checks a tape from which the first expired of xs were deleted.
func whole(t testing.TB, dir string, xs []traffic.Exchange) (expired uint64) {
	t.Helper()
	rep, err := Verify(dir)
	require.NoError(t, err)
	require.True(t, rep.OK(), "%s", rep)
	require.Zero(t, rep.Lost)
	require.EqualValues(t, len(xs), rep.Exchanges+rep.Expired)
	s, err := Stat(dir)
	require.NoError(t, err)
	require.Equal(t, rep.Expired, s.Expired)
	require.Zero(t, s.Lost)
	require.Equal(t, nonNil(byStart(xs[rep.Expired:])), nonNil(readAll(t, dir)))
	f, err := Follow(dir, 0)
	require.NoError(t, err)
	require.Equal(t, xs[rep.Expired:], nonNil(followRest(t, f)), "from 0 on: from what is left")
	return rep.Expired
}

// A spool that reaches its quota deletes what the store has, the oldest first, and otherwise takes nothing until the
// store has more.
func TestQuota(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(30, 0)), 20_000)
	dir := filepath.Join(t.TempDir(), "tape")
	const quota = 200_000
	clk := new(testkit.Clock)
	w, err := Create(dir, Config{Quota: quota, Clock: clk})
	require.NoError(t, err)
	f := w.Follow(0)
	defer f.Close()
	var followed []traffic.Exchange
	refused := 0
	for i := range xs {
		err := w.Append(&xs[i])
		if err == nil && i%50 == 49 {
			err = w.Flush()
			require.LessOrEqual(t, sizeOf(t, dir), int64(quota))
		}
		if err == nil {
			continue
		}
		full, ok := errors.AsType[*FullError](err)
		require.True(t, ok, "%v", err)
		require.True(t, full.Quota)
		require.ErrorContains(t, err, "the quota is 200000")
		refused++
		clk.Step(lookAgain)
		require.Error(t, w.Flush(), "nothing was released")
		require.NoError(t, w.commit())
		for w.Durable() > uint64(len(followed)) && f.At() < f.limit+1 {
			b, err := f.Next(t.Context())
			require.NoError(t, err)
			require.NoError(t, b.Records(func(x *traffic.Exchange) error { followed = append(followed, clone(x)); return nil }))
		}
		w.Release(f.At())
		clk.Step(lookAgain)
		require.NoError(t, w.Flush())
	}
	require.Greater(t, refused, 1)
	require.NoError(t, w.Close())
	require.Equal(t, xs, append(followed, followRest(t, f)...), "the store misses nothing")
	require.NotZero(t, whole(t, dir, xs))
}

// Numbers are never given out again, not even when all that bore them has been deleted.
func TestReleasedToTheLast(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(31, 0)), 1000)
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{})
	require.NoError(t, err)
	put(t, w, xs)
	require.NoError(t, w.Sync())
	end := w.state.nextBlock
	w.Release(end)
	w.write.Lock()
	freed, err := w.deleteReleased()
	w.write.Unlock()
	require.NoError(t, err)
	require.True(t, freed)
	require.Empty(t, segments(t, dir))
	require.NoError(t, w.Close())
	require.EqualValues(t, 1000, whole(t, dir, xs))

	w, err = Create(dir, Config{})
	require.NoError(t, err)
	require.EqualValues(t, 1000, w.Durable())
	put(t, w, xs[:100])
	require.NoError(t, w.Close())
	f, err := Follow(dir, end)
	require.NoError(t, err)
	require.Equal(t, xs[:100], followRest(t, f), "a cursor at the end sees all that is new")
}

// A kept tape loses its oldest segments when it grows too long or too old, a quiet one too.
func TestKeep(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(32, 0)), 20_000)
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{Keep: Keep{Bytes: 100_000}})
	require.NoError(t, err)
	put(t, w, xs[:10_000])
	require.LessOrEqual(t, sizeOf(t, dir), int64(100_000))
	require.NoError(t, w.Close())
	first := whole(t, dir, xs[:10_000])
	require.NotZero(t, first)
	w, err = Create(dir, Config{Keep: Keep{Bytes: 100_000}}) // the run before counts too
	require.NoError(t, err)
	put(t, w, xs[10_000:])
	require.NoError(t, w.Close())
	require.Greater(t, whole(t, dir, xs), first)
	require.Greater(t, sizeOf(t, dir), int64(60_000), "more than that need not go")

	dir = filepath.Join(t.TempDir(), "tape")
	clk := new(testkit.Clock)
	w, err = Create(dir, Config{Keep: Keep{Age: time.Hour}, Clock: clk})
	require.NoError(t, err)
	for i := range xs {
		xs[i].Start = clk.Now().UnixNano()
		if i%1000 == 999 {
			put(t, w, xs[i-999:i+1])
			clk.Step(6 * time.Minute)
			require.NoError(t, w.Expire())
		}
	}
	require.EqualValues(t, 10_000, w.meta.Expired.Exchanges, "older than an hour")
	clk.Step(-24 * time.Hour)
	require.NoError(t, w.Expire(), "nothing gets older by that")
	require.EqualValues(t, 10_000, w.meta.Expired.Exchanges)
	clk.Step(26 * time.Hour)
	require.NoError(t, w.Expire())
	require.NoError(t, w.Close())
	require.EqualValues(t, 20_000, whole(t, dir, xs))
}

// A crash between the note that a segment is deleted and its end: who comes next finishes the work.
func TestCrashWhileDeleting(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(33, 0)), 5000)
	dir := tapeOf(t, Config{SegmentBytes: 20_000}, nil)
	w, err := Create(dir, Config{SegmentBytes: 20_000})
	require.NoError(t, err)
	put(t, w, xs)
	w.write.Lock()
	oldest := w.past.segs[0]
	b, err := os.ReadFile(oldest.path)
	require.NoError(t, err)
	require.NoError(t, w.deleteOldest())
	w.write.Unlock()
	require.NoError(t, w.Close())
	require.Equal(t, oldest.records, whole(t, dir, xs))
	require.NoError(t, os.WriteFile(oldest.path, b, 0o644))
	require.Equal(t, oldest.records, whole(t, dir, xs), "it counts as gone")
	w, err = Create(dir, Config{})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoFileExists(t, oldest.path)
	require.Equal(t, oldest.records, whole(t, dir, xs))
}
