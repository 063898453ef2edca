package tape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// unclosed is a segment without a footer, as a crash leaves it, and the offset after each of its blocks.
func unclosed(t *testing.T, codec Codec, xs []traffic.Exchange) (file []byte, ends []int64, records []int) {
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{Codec: codec})
	require.NoError(t, err)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
		if i%13 == 12 {
			require.NoError(t, w.Flush())
		}
	}
	require.NoError(t, w.Close())
	path := segments(t, dir)[0]
	s, err := readSegment(path, ^uint64(0), true)
	require.NoError(t, err)
	require.True(t, s.closed)
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	n := 0
	for _, e := range s.entries {
		n += int(e.records)
		records = append(records, n)
		ends = append(ends, e.off+headerLen+padded(int64(e.size)))
	}
	require.Equal(t, len(xs), n)
	return file[:s.end], ends, records
}

// TestTornWrites damages the end of an unfinished tape in many ways. What is read, what Verify says and what
// a new writer keeps must be the same: every block before the damage, nothing else.
func TestTornWrites(t *testing.T) {
	const cases = 70
	for _, codec := range []Codec{None, S2, Zstd} {
		seed := uint64(codec)
		r := rand.New(rand.NewPCG(seed, 1))
		xs := usual(r, 120)
		file, ends, records := unclosed(t, codec, xs)
		for n := range cases {
			at := r.IntN(len(file))
			b := append([]byte(nil), file...)
			var what string
			switch n % 4 {
			case 0:
				what, b = "cut", b[:at]
			case 1:
				what = "bit flip"
				b[at] ^= 1 << r.IntN(8)
			case 2:
				what = "zero tail"
				clear(b[at:])
			case 3:
				what = "old bytes" // of the same tape: what a file system may show after a power cut
				copy(b[at:], file[:len(file)-at])
			}
			good, end := 0, int64(headerLen)
			for i := range ends {
				if int64(len(b)) >= ends[i] && string(b[:ends[i]]) == string(file[:ends[i]]) {
					good, end = records[i], ends[i]
				}
			}
			if len(b) < headerLen || string(b[:headerLen]) != string(file[:headerLen]) {
				good, end = 0, 0
			}
			msg := fmt.Sprintf("%s at %d of %d, codec %v, seed %d", what, at, len(file), codec, seed)
			checkTorn(t, b, xs, good, end, n/4%4 == 0, msg) // a new writer takes nine fsyncs: not every time
		}
	}
}

// TestStaleBlocks: whole blocks behind the end that do not belong there, as a file system may show after a
// power cut: of the same tape, and of another tape with the very sequences that are due.
func TestStaleBlocks(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(6, 1)), 100)
	file, ends, records := unclosed(t, S2, xs)
	other, otherEnds, _ := unclosed(t, S2, xs)
	require.Equal(t, len(file), len(other))
	half := len(ends) / 2
	whole := file[:ends[half]]
	checkTorn(t, append(bytes.Clone(whole), file[headerLen:]...), xs, records[half], ends[half], true, "blocks of the same tape again")
	checkTorn(t, append(bytes.Clone(whole), file[ends[half+1]:]...), xs, records[half], ends[half], true, "a block left out")
	checkTorn(t, append(bytes.Clone(whole), other[otherEnds[half]:]...), xs, records[half], ends[half], true, "blocks of another tape")
}

func checkTorn(t *testing.T, b []byte, xs []traffic.Exchange, good int, end int64, goOn bool, msg string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tape")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(0)), b, 0o644))

	got := readAll(t, dir)
	// A flip in the zeros between two blocks harms nobody; then more is read than "before the damage".
	require.GreaterOrEqual(t, len(got), good, msg)
	for i, x := range byStart(xs[:len(got)]) {
		require.Equal(t, x, got[i], msg)
	}
	if len(got) > good {
		require.Contains(t, msg, "bit flip")
		return
	}

	rep, err := Verify(dir)
	require.NoError(t, err, msg)
	require.Equal(t, uint64(good), rep.Exchanges, msg)
	cut := int64(len(b)) - end
	if cut > 0 {
		require.Len(t, rep.Cuts, 1, msg)
		require.Equal(t, cut, rep.Cuts[0].Bytes, msg)
		require.Equal(t, end, rep.Cuts[0].Offset, msg)
	}

	if !goOn {
		return
	}
	w, err := Create(dir, Config{})
	require.NoError(t, err, msg)
	require.Equal(t, rep.Cuts, w.Recovered(), msg)
	require.Equal(t, uint64(good), w.Durable(), msg)
	more := usual(rand.New(rand.NewPCG(1, 2)), 10)
	for i := range more {
		require.NoError(t, w.Append(&more[i]))
	}
	require.NoError(t, w.Close())
	want := append(append([]traffic.Exchange(nil), xs[:good]...), more...)
	require.Equal(t, byStart(want), readAll(t, dir), msg)
	rep, err = Verify(dir)
	require.NoError(t, err)
	require.Empty(t, rep.Cuts, msg)
	require.Equal(t, uint64(len(want)), rep.Exchanges, msg)
}

// TestBitFlipsInAClosedTape: the footer says what there is, so that a bad block is an error with its place;
// Recover then keeps everything before it.
func TestBitFlipsInAClosedTape(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 1))
	xs := usual(r, 120)
	src := tapeOf(t, Config{SegmentBytes: 2500, Codec: S2}, xs)
	w, err := Create(src, Config{SegmentBytes: 2500})
	require.NoError(t, err)
	more := usual(r, 120)
	for i := range more {
		require.NoError(t, w.Append(&more[i]))
	}
	require.NoError(t, w.Close())
	xs = append(xs, more...)
	paths := segments(t, src)
	require.Greater(t, len(paths), 1)
	meta, err := os.ReadFile(filepath.Join(src, metaName))
	require.NoError(t, err)
	for n := range 100 {
		dir := filepath.Join(t.TempDir(), "tape")
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, metaName), meta, 0o644))
		hit := r.IntN(len(paths))
		var at int
		for i, p := range paths {
			b, err := os.ReadFile(p)
			require.NoError(t, err)
			if i == hit {
				at = r.IntN(len(b))
				b[at] ^= 1 << r.IntN(8)
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(p)), b, 0o644))
		}
		msg := fmt.Sprintf("case %d: bit flip at %d of segment %d, seed %d", n, at, hit, seed)
		want := byStart(xs)
		got, err := tryRead(dir)
		for i := range got {
			require.Equal(t, want[i], got[i], msg)
		}
		if err != nil {
			require.Regexp(t, `tape ".*": .*\.tape: offset \d+: `, err.Error(), msg)
			require.NotContains(t, err.Error(), "\n")
		} else {
			require.Len(t, got, len(xs), msg)
		}
		rep, err := Verify(dir)
		require.NoError(t, err, msg)
		require.LessOrEqual(t, rep.Exchanges, uint64(len(xs)), msg)
		kept := rep.Exchanges
		_, err = Recover(dir)
		require.NoError(t, err, msg)
		rep, err = Verify(dir)
		require.NoError(t, err, msg)
		require.Empty(t, rep.Cuts, msg)
		require.Equal(t, kept, rep.Exchanges, msg)
		got, err = tryRead(dir)
		require.NoError(t, err, msg)
		require.Len(t, got, int(kept), msg)
	}
}

func tryRead(dir string) (out []traffic.Exchange, err error) {
	r, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var x traffic.Exchange
	for {
		switch err := r.Next(context.Background(), &x); {
		case err == nil:
			out = append(out, clone(&x))
		case errors.Is(err, io.EOF):
			return out, nil
		default:
			return out, err
		}
	}
}

// FuzzSegment: any bytes as the last segment of a tape. Reading, verifying and recovering agree on what is good.
func FuzzSegment(f *testing.F) {
	for _, name := range []string{"none", "s2", "zstd", "dictionary"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+suffix))
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)-100])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, segmentName(0)), b, 0o644))
		rep, err := Verify(dir)
		if err != nil {
			return
		}
		if got, err := tryRead(dir); err == nil && len(rep.Problems) == 0 {
			require.Len(t, got, int(rep.Exchanges))
		}
		if _, err := Recover(dir); err != nil {
			return
		}
		again, err := Verify(dir)
		if err != nil {
			return // nothing was good
		}
		require.Empty(t, again.Cuts)
		require.Equal(t, rep.Exchanges, again.Exchanges)
	})
}
