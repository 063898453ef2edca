package tape

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic/traffictest"
)

// Short pages take little more than full ones, over several segments and more blocks than a dictionary serves, and
// come back every way there is.
func TestShortPages(t *testing.T) {
	xs := traffictest.Small(rand.New(rand.NewPCG(40, 0)), 3000)
	for i := range xs {
		xs[i] = clone(&xs[i])
	}
	for _, per := range []int{1, 7, 40} {
		dir := filepath.Join(t.TempDir(), "tape")
		w, err := Create(dir, Config{SegmentBytes: 100_000})
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
			if i%per == 0 {
				require.NoError(t, w.Flush())
			}
		}
		require.NoError(t, w.Close())
		require.Equal(t, byStart(xs), readAll(t, dir))
		f, err := Follow(dir, 0)
		require.NoError(t, err)
		require.Equal(t, xs, followAll(t, f))
		rep, err := Verify(dir)
		require.NoError(t, err)
		require.True(t, rep.OK(), "%s", rep)
		if per == 40 {
			require.Less(t, float64(sizeOf(t, dir))/float64(len(xs)), 42.0)
		}
		r, err := Open(dir)
		require.NoError(t, err)
		r.limit = 20_000 // blocks are let go and read again, dictionaries too
		require.Equal(t, byStart(xs), drain(t, r))
	}
}

// A torn or damaged tape with dictionaries: blocks whose dictionary is damaged lie behind the damage.
func TestDamagedDictionary(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(41, 0)), 600)
	file, ends, records := unclosed(t, Zstd, xs)
	checkTorn(t, file[:ends[40]+20], xs, records[40], ends[40], true, "a cut behind the dictionary")
	b := append([]byte(nil), file...)
	b[ends[2]-20] ^= 1
	checkTorn(t, b, xs, records[1], ends[1], true, "bit flip in the dictionary")

	// A forged reference: the header is whole, what it points to is not there.
	s := segment{path: filepath.Join(t.TempDir(), segmentName(0))}
	require.NotZero(t, s.head.parse(file))
	require.NoError(t, os.WriteFile(s.path, file, 0o644))
	f, err := os.Open(s.path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, s.walk(f, int64(len(file)), ^uint64(0)))
	h, payload, _, err := s.readBlock(f, ends[39], -1, nil)
	require.NoError(t, err)
	require.Equal(t, zstdDict, h.codec)
	var d decompressor
	defer d.close()
	var mem []byte
	bad := func(back, count uint32, want error) {
		t.Helper()
		h := h
		h.back, h.count = back, count
		off, err := s.dictAt(&h)
		if err == nil {
			_, err = d.records(&mem, payload, &h, f, &s, off, false)
		}
		require.Error(t, err)
		if want != nil {
			require.ErrorIs(t, err, want)
		}
	}
	bad(1000, 1, errNoDict)      // before the segment
	bad(2, 2, errOther)          // blocks that need one themselves
	bad(h.back, 1, nil)          // too few of them
	bad(h.back-1, 200, errOther) // past the end
}
