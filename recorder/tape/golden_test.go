package tape

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// stopped is a clock that stands still.
type stopped struct{}

func (stopped) Now() time.Time { return time.Unix(1763683200, 0).UTC() }
func (stopped) SleepUntil(ctx context.Context, _ time.Time) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestGolden: tapes written long ago are read, and an uncompressed one is written with the same bytes. If it
// fails, the format has changed: that takes a new version number.
func TestGolden(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(1, 0)), 12)
	r := rand.New(rand.NewPCG(2, 0))
	for range 4 {
		x := strange(r)
		x.Request.Body, x.Response.Body = nil, []byte("short")
		xs = append(xs, clone(x))
	}
	for _, codec := range []Codec{None, S2, Zstd} {
		cfg := Config{Codec: codec, Clock: stopped{}, Instance: Instance{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}
		got, err := os.ReadFile(segments(t, tapeOf(t, cfg, xs))[0])
		require.NoError(t, err)
		golden := filepath.Join("testdata", codec.String()+suffix)
		if *update {
			require.NoError(t, os.WriteFile(golden, got, 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		if codec == None { // what a compressor makes of the records may change with its version
			require.Equal(t, want, got)
		}
		require.Equal(t, byStart(xs), readAll(t, golden))
	}
}

// TestGoldenDictionary: the same for short pages, which use earlier blocks as dictionary.
func TestGoldenDictionary(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(5, 0)), 260)
	golden := filepath.Join("testdata", "dictionary"+suffix)
	if *update {
		w, err := Create(filepath.Join(t.TempDir(), "tape"), Config{Clock: stopped{}, Instance: Instance{1, 2, 3}})
		require.NoError(t, err)
		put(t, w, xs)
		require.NoError(t, w.Close())
		got, err := os.ReadFile(segments(t, w.Dir())[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	require.Equal(t, byStart(xs), readAll(t, golden))
	s, err := readSegment(golden, ^uint64(0), false)
	require.NoError(t, err)
	f, err := os.Open(golden)
	require.NoError(t, err)
	defer f.Close()
	h, _, _, err := s.readBlock(f, s.entries[len(s.entries)-1].off, -1, nil)
	require.NoError(t, err)
	require.Equal(t, zstdDict, h.codec)
}

// TestGoldenPieces: the same for full pages, which are cut in three.
func TestGoldenPieces(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(6, 0)), 660)
	r := rand.New(rand.NewPCG(7, 0))
	for range 4 {
		x := strange(r)
		x.Request.Body, x.Response.Body = []byte("short"), nil
		xs = append(xs, clone(x))
	}
	golden := filepath.Join("testdata", "pieces"+suffix)
	if *update {
		w, err := Create(filepath.Join(t.TempDir(), "tape"), Config{Clock: stopped{}, Instance: Instance{1, 2, 3}})
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
			if i == 220 {
				require.NoError(t, w.Flush()) // the dictionary
			}
		}
		require.NoError(t, w.Close())
		got, err := os.ReadFile(segments(t, w.Dir())[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	require.Equal(t, byStart(xs), readAll(t, golden))
	require.Contains(t, codecs(t, golden), zstdPieces)

	reader, err := Open(golden)
	require.NoError(t, err)
	reader.SkipResponses()
	want := byStart(xs)
	for i, got := range drain(t, reader) {
		if got.Response.Headers == nil { // of the block that is in pieces
			want[i].Response = traffic.Message{Status: want[i].Response.Status}
		}
		require.Equal(t, want[i], got)
	}
	require.NoError(t, reader.Close())
}

// codecs are those of the blocks of a segment.
func codecs(t *testing.T, path string) (list []Codec) {
	s, err := readSegment(path, ^uint64(0), false)
	require.NoError(t, err)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	for _, e := range s.entries {
		h, _, _, err := s.readBlock(f, e.off, -1, nil)
		require.NoError(t, err)
		list = append(list, h.codec)
	}
	return list
}

func TestWritingDoesNotAllocate(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(3, 0)), 20_000)
	var e Encoder
	page := make([]byte, 0, PageSize)
	e.Start(page)
	i := 0
	one := func() {
		if !e.Append(&xs[i%len(xs)]) {
			e.Start(page)
		}
		i++
	}
	for range 5000 {
		one()
	}
	require.Zero(t, testing.AllocsPerRun(20_000, one), "encoder")

	w, err := Create(filepath.Join(t.TempDir(), "tape"), Config{Codec: S2})
	require.NoError(t, err)
	write := func() {
		if err := w.Append(&xs[i%len(xs)]); err != nil {
			panic(err)
		}
		i++
	}
	for range 5000 {
		write()
	}
	require.Zero(t, testing.AllocsPerRun(40_000, write), "writer")
	require.NoError(t, w.Close())
}

func TestReadingDoesNotAllocate(t *testing.T) {
	dir := tapeOf(t, Config{}, usual(rand.New(rand.NewPCG(4, 0)), 50_000))
	r, err := Open(dir)
	require.NoError(t, err)
	var x traffic.Exchange
	read := func() {
		if err := r.Next(context.Background(), &x); err != nil {
			panic(err)
		}
	}
	for range 5000 {
		read()
	}
	require.Zero(t, testing.AllocsPerRun(40_000, read))
	require.NoError(t, r.Close())
}
