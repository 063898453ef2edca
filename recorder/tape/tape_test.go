package tape

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// readAll reads a tape in order of start.
func readAll(t testing.TB, path string) []traffic.Exchange {
	r, err := Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	return drain(t, r)
}

func drain(t testing.TB, r *Reader) (out []traffic.Exchange) {
	var x traffic.Exchange
	for {
		switch err := r.Next(context.Background(), &x); {
		case err == nil:
			out = append(out, clone(&x))
		case errors.Is(err, io.EOF):
			return out
		default:
			require.NoError(t, err)
		}
	}
}

// followAll reads a tape that is all there in order of writing.
func followAll(t testing.TB, f *Follower) (out []traffic.Exchange) {
	next := uint64(0)
	return follow(t, f, func(b *Block) {
		require.Equal(t, next, b.FirstRecord)
		next += uint64(b.Count)
	})
}

// followRest reads what is left of a tape.
func followRest(t testing.TB, f *Follower) []traffic.Exchange { return follow(t, f, func(*Block) {}) }

func follow(t testing.TB, f *Follower, look func(*Block)) (out []traffic.Exchange) {
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		b, err := f.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		look(b)
		require.NoError(t, b.Records(func(x *traffic.Exchange) error { out = append(out, clone(x)); return nil }))
	}
}

func byStart(xs []traffic.Exchange) []traffic.Exchange {
	out := make([]traffic.Exchange, len(xs))
	for i := range xs {
		out[i] = clone(&xs[i])
	}
	slices.SortStableFunc(out, func(a, b traffic.Exchange) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	return out
}

func TestEverythingComesBack(t *testing.T) {
	f := func(codec Codec, segment int64, seed uint64) {
		t.Helper()
		r := rand.New(rand.NewPCG(seed, 0))
		var xs []traffic.Exchange
		for range 400 {
			xs = append(xs, clone(strange(r)))
		}
		dir := tapeOf(t, Config{Codec: codec, SegmentBytes: segment}, xs)
		require.Equal(t, byStart(xs), readAll(t, dir), "seed %d", seed)
		fo, err := Follow("tape://"+dir, 0)
		require.NoError(t, err)
		require.Equal(t, xs, followAll(t, fo), "seed %d", seed)
	}
	f(None, 0, 1)
	f(S2, 0, 2)
	f(Zstd, 0, 3)
	f(Zstd, 1, 4) // a segment for every block
	f(S2, 1<<20, 5)
}

func TestOrderOfStartWithLittleMemory(t *testing.T) {
	const seed = 7
	xs := usual(rand.New(rand.NewPCG(seed, 0)), 12_000)
	xs[11_999].Start = t0 - 1e9 // went on during the whole tape
	for i := 0; i < len(xs); i += 500 {
		xs[i].Start = t0 // every block reaches back to the beginning
	}
	dir := tapeOf(t, Config{SegmentBytes: 80_000}, xs)
	require.Greater(t, len(segments(t, dir)), 1)
	r, err := Open(dir)
	require.NoError(t, err)
	r.limit = 3 * PageSize
	var x traffic.Exchange
	want := byStart(xs)
	for i := range want {
		require.NoError(t, r.Next(context.Background(), &x))
		require.Equal(t, want[i], clone(&x), "exchange %d, seed %d", i, seed)
		require.Less(t, r.held, int64(8*PageSize))
	}
	require.Equal(t, io.EOF, r.Next(context.Background(), &x))
	require.Equal(t, io.EOF, r.Next(context.Background(), &x))
	require.NoError(t, r.Close())
}

func TestFromASecondOn(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(8, 0)), 8_000)
	dir := tapeOf(t, Config{}, xs)
	want := byStart(xs)
	from := want[5_432].Start
	r, err := Open(dir)
	require.NoError(t, err)
	r.From(from)
	got := drain(t, r)
	require.NoError(t, r.Close())
	for want[0].Start < from {
		want = want[1:]
	}
	require.Equal(t, want, got)
}

func TestOneSegmentFile(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(9, 0)), 5000)
	dir := tapeOf(t, Config{}, xs)
	require.Equal(t, byStart(xs), readAll(t, segments(t, dir)[0]))
}

func TestATapeGoesOn(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(10, 0)), 3000)
	dir := tapeOf(t, Config{}, xs[:1000])
	tapeOfEmpty(t, dir)
	for _, part := range [][]traffic.Exchange{xs[1000:2000], xs[2000:]} {
		w, err := Create(dir, Config{Codec: S2})
		require.NoError(t, err)
		require.Empty(t, w.Recovered())
		for i := range part {
			require.NoError(t, w.Append(&part[i]))
		}
		require.NoError(t, w.Close())
	}
	require.Equal(t, byStart(xs), readAll(t, dir))
}

// tapeOfEmpty opens and closes a writer that writes nothing: its segment's name must be free again.
func tapeOfEmpty(t *testing.T, dir string) {
	w, err := Create(dir, Config{})
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

func TestRefused(t *testing.T) {
	f := func(want string, prepare func(dir string)) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "d")
		prepare(dir)
		_, err := Create(dir, Config{})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
	}
	f(`it holds "notes.txt", which is no part of a tape`, func(dir string) {
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644))
	})
	f("another writer holds it", func(dir string) {
		w, err := Create(dir, Config{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, w.Close()) })
	})
	f("not a directory", func(dir string) { require.NoError(t, os.WriteFile(dir, nil, 0o644)) })

	_, err := Open("clickhouse://x/y")
	require.EqualError(t, err, `tape URL "clickhouse://x/y": scheme "clickhouse" is not tape`)
	_, err = Open("tape://")
	require.Error(t, err)
	_, err = Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "no such file or directory")
	_, err = Open(t.TempDir())
	require.ErrorContains(t, err, "holds no tape")
}

func TestFollowWaitsForWhatIsDurable(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(11, 0)), 3000)
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{SyncEvery: 5 * time.Millisecond, SegmentBytes: 10_000})
	require.NoError(t, err)
	got := make(chan []traffic.Exchange)
	go func() { got <- followAll(t, w.Follow(0)) }()
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
		if i%250 == 0 {
			require.NoError(t, w.Flush())
		}
		if i%500 == 499 {
			require.NoError(t, w.Sync())
			require.Equal(t, uint64(i+1), w.Durable())
			require.Equal(t, byStart(xs[:i+1]), readAll(t, dir), "a reader sees what is durable")
		}
	}
	require.NoError(t, w.Close())
	require.Equal(t, byStart(xs), byStart(<-got))
	require.Greater(t, len(segments(t, dir)), 3)
}

func TestFollowGoesOnFromABlock(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(12, 0)), 8000)
	dir := tapeOf(t, Config{SegmentBytes: 60_000}, xs)
	seen := map[string]bool{}
	n, next := 0, uint64(0)
	for {
		f, err := Follow(dir, next) // a new follower for every block
		require.NoError(t, err)
		b, err := f.Next(context.Background())
		if errors.Is(err, io.EOF) {
			require.NoError(t, f.Close())
			break
		}
		require.NoError(t, err)
		require.False(t, seen[b.Token()])
		seen[b.Token()] = true
		require.NoError(t, b.Records(func(x *traffic.Exchange) error {
			require.Equal(t, clone(&xs[n]), clone(x))
			n++
			return nil
		}))
		next = f.At()
		require.NoError(t, f.Close())
	}
	require.Equal(t, len(xs), n)
	require.Greater(t, len(seen), 3)
}

func TestFollowIsInterrupted(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "tape"), Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	f := w.Follow(0)
	cancel(errors.New("enough"))
	_, err = f.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, f.Close())
	require.NoError(t, w.Close())
}

func TestARecordLargerThanAPage(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(13, 0)), 3)
	xs[1].Response.Body = make([]byte, 5*PageSize)
	require.Equal(t, byStart(xs), readAll(t, tapeOf(t, Config{}, xs)))

	w, err := Create(filepath.Join(t.TempDir(), "tape"), Config{})
	require.NoError(t, err)
	xs[1].Response.Body = make([]byte, MaxRecord)
	require.ErrorContains(t, w.Append(&xs[1]), fmt.Sprintf("at most %d", MaxRecord))
	require.NoError(t, w.Append(&xs[0]), "the writer goes on")
	require.NoError(t, w.Close())
}

func TestFollowNeverSeesWhatIsNotDurable(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(14, 0)), 10)
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{SyncEvery: time.Hour, SyncBytes: 1 << 40})
	require.NoError(t, err)
	f := w.Follow(0)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Flush())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = f.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, readAll(t, dir), "nor does a reader elsewhere")
	require.NoError(t, w.Sync())
	require.Len(t, readAll(t, dir), 10)
	b, err := f.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, 10, b.Count)
	require.NoError(t, f.Close())
	require.NoError(t, w.Close())
}
