package tape

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestStat(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(30, 0)), 5000)
	for i := range xs {
		if i%5 == 0 {
			xs[i].Lane, xs[i].Dst, xs[i].Response.Status = "red", "shake", 503
		}
	}
	dir := tapeOf(t, Config{SegmentBytes: 20_000, Redaction: []string{"header cookie"}}, xs)
	s, err := Stat(dir)
	require.NoError(t, err)
	want := byStart(xs)
	require.EqualValues(t, 5000, s.Exchanges)
	require.Equal(t, 50, s.Sessions)
	require.Equal(t, want[0].Start, s.First.UnixNano())
	require.Equal(t, want[4999].Start, s.Last.UnixNano())
	require.InDelta(t, 10_000, s.Rate(), 500)
	require.Equal(t, map[string]uint64{"packet": 4000, "shake": 1000}, s.Services)
	require.Equal(t, map[traffic.Color]uint64{"": 4000, "red": 1000}, s.Lanes)
	require.Equal(t, map[int]uint64{200: 4000, 503: 1000}, s.Status)
	require.Equal(t, len(segments(t, dir)), s.Segments)
	require.Greater(t, s.Segments, 1)
	require.Equal(t, sizeOf(t, dir), s.Bytes)
	require.Greater(t, s.Ratio(), 5.0)
	require.Equal(t, []string{"header cookie"}, s.Meta.Runs[0].Redaction)
	books, complete := s.Meta.Ledger()
	require.True(t, complete)
	require.EqualValues(t, 5000, books.Passed)

	s, err = Stat(tapeOf(t, Config{}, nil))
	require.NoError(t, err)
	require.Zero(t, s.Exchanges)
	require.Zero(t, s.Rate())
}

// TestVerifyHoldsTheBooks: each way in which a tape and what is written about it can differ.
func TestVerifyHoldsTheBooks(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(31, 0)), 3000)
	f := func(want string, books *traffic.Ledger, change func(dir string)) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "tape")
		w, err := Create(dir, Config{SegmentBytes: 10_000})
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
		}
		if books != nil {
			w.SetLedger(*books)
		}
		require.NoError(t, w.Close())
		change(dir)
		rep, err := Verify(dir)
		require.NoError(t, err)
		if want == "" {
			require.True(t, rep.OK(), rep)
			require.EqualValues(t, 3000, rep.Exchanges)
			return
		}
		require.False(t, rep.OK(), rep)
		require.Contains(t, rep.String(), want)
	}
	same := func(string) {}
	f("", nil, same)
	f("", &traffic.Ledger{Stage: "record", Accepted: 3100, Passed: 3000, Filtered: 100}, same)
	f("accepted 3100, accounted for 3000, unexplained 100", &traffic.Ledger{Stage: "record", Accepted: 3100, Passed: 3000}, same)
	f("its ledger says 2999 exchanges, the tape holds 3000", &traffic.Ledger{Stage: "record", Accepted: 2999, Passed: 2999}, same)
	f("its ledger says 3001 exchanges, the tape holds 3000", &traffic.Ledger{Stage: "record", Accepted: 3001, Passed: 3001}, same)
	f("is missing", nil, func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, metaName))) })
	f("the segment after it is missing", nil, func(dir string) { require.NoError(t, os.Remove(segments(t, dir)[1])) })
	f("footer is damaged", nil, func(dir string) {
		p := segments(t, dir)[1]
		info, err := os.Stat(p)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(p, info.Size()-1))
	})
}

// TestAnotherVersion is never touched, whatever is asked.
func TestAnotherVersion(t *testing.T) {
	dir := tapeOf(t, Config{}, usual(rand.New(rand.NewPCG(32, 0)), 10))
	p := segments(t, dir)[0]
	b, err := os.ReadFile(p)
	require.NoError(t, err)
	b[8] = versionNow + 1
	le.PutUint32(b[60:], checksum(b[:60]))
	require.NoError(t, os.WriteFile(p, b, 0o644))
	for _, f := range []func() error{
		func() error { _, err := Open(dir); return err },
		func() error { _, err := Create(dir, Config{}); return err },
		func() error { _, err := Recover(dir); return err },
		func() error { _, err := Verify(dir); return err },
	} {
		err := f()
		require.ErrorContains(t, err, "version 4, this program reads up to 3")
		require.Equal(t, 0, strings.Count(err.Error(), "\n"))
	}
	again, err := os.ReadFile(p)
	require.NoError(t, err)
	require.Equal(t, b, again)
}

// TestTokensNeverRepeat: a crash gives block numbers out again, under another instance.
func TestTokensNeverRepeat(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(33, 0)), 100)
	dir := filepath.Join(t.TempDir(), "tape")
	seen := map[string]bool{}
	for range 4 {
		w, err := Create(dir, Config{SyncEvery: time.Millisecond})
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
			if i%10 == 9 {
				require.NoError(t, w.Flush())
			}
		}
		require.NoError(t, w.Close())
		f, err := Follow(dir, 0)
		require.NoError(t, err)
		fresh := 0
		for {
			b, err := f.Next(t.Context())
			if err != nil {
				break
			}
			if !seen[b.Token()] {
				seen[b.Token()] = true
				fresh++
			}
		}
		require.NoError(t, f.Close())
		require.Equal(t, 10, fresh)
		// A crash that cost the last blocks: the file ends in the middle of them.
		paths := segments(t, dir)
		info, err := os.Stat(paths[len(paths)-1])
		require.NoError(t, err)
		require.NoError(t, os.Truncate(paths[len(paths)-1], info.Size()*2/3))
	}
}
