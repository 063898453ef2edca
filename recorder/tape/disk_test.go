package tape

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

// A badDisk has room for so many bytes in all its files, and fails every fsync from one on.
type badDisk struct {
	room      atomic.Int64
	syncsLeft atomic.Int64
	syncFails error // EIO
	slow      time.Duration
}

type badFile struct {
	File
	d *badDisk
}

func (d *badDisk) open(path string) (File, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	return badFile{f, d}, nil
}

func (f badFile) Write(b []byte) (int, error) {
	left := f.d.room.Add(-int64(len(b))) + int64(len(b))
	if left >= int64(len(b)) {
		return f.File.Write(b)
	}
	n, _ := f.File.Write(b[:max(0, left)]) // a torn write, as a full disk leaves it
	return n, syscall.ENOSPC
}

func (f badFile) Sync() error {
	time.Sleep(f.d.slow)
	if f.d.syncsLeft.Add(-1) < 0 {
		return cmp.Or(f.d.syncFails, error(syscall.EIO))
	}
	return f.File.Sync()
}

// A disk that is full in the middle of a write, in a footer, or at the start of a segment: what was taken is safe,
// what was refused is not there, and when there is room all goes on.
func TestFullDisk(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(20, 0)), 3000)
	for _, room := range []int64{700, 1000, 5000, 20_000, 29_900, 30_100, 60_000} {
		d := new(badDisk)
		d.room.Store(room)
		d.syncsLeft.Store(1 << 40)
		dir := filepath.Join(t.TempDir(), "tape")
		clk := new(testkit.Clock)
		w, err := Create(dir, Config{OpenFile: d.open, SegmentBytes: 30_000, SyncEvery: time.Millisecond, Clock: clk})
		require.NoError(t, err)
		f := w.Follow(0)
		refused := 0
		for i := range xs {
			for err = w.Append(&xs[i]); err == nil && i%50 == 49; {
				err = w.Flush()
				break
			}
			if err == nil {
				continue
			}
			full, ok := errors.AsType[*FullError](err)
			require.True(t, ok, "%v", err)
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.False(t, full.Quota)
			require.Equal(t, full, w.Full())
			require.NoError(t, w.Err())
			require.ErrorIs(t, w.Resume(), syscall.ENOSPC, "not looked at again so soon")
			d.room.Store(20_000 + room)
			if refused++; refused%2 == 0 {
				clk.Step(-time.Hour)
			} else {
				clk.Step(lookAgain)
			}
			require.NoError(t, w.Flush(), "it takes up what it held")
			require.Nil(t, w.Full())
		}
		require.NotZero(t, refused)
		d.room.Store(1 << 40)
		require.NoError(t, w.Close())
		require.ErrorIs(t, w.Close(), os.ErrClosed)
		require.Equal(t, xs, followAll(t, f), "room for %d", room)
		rep, err := Verify(dir)
		require.NoError(t, err)
		require.True(t, rep.OK(), "room for %d: %s", room, rep)
		require.EqualValues(t, len(xs), rep.Exchanges)
		require.Equal(t, byStart(xs), readAll(t, dir))
	}
}

// The disk is full to the end: what was durable stays, and the books say so.
func TestFullDiskToTheEnd(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(24, 0)), 3000)
	for _, room := range []int64{700, 5000, 29_000, 31_000, 80_000} {
		d := new(badDisk)
		d.room.Store(room)
		d.syncsLeft.Store(1 << 40)
		dir := filepath.Join(t.TempDir(), "tape")
		w, err := Create(dir, Config{OpenFile: d.open, SegmentBytes: 30_000, SyncEvery: time.Millisecond})
		require.NoError(t, err)
		for i := range xs {
			if err = w.Append(&xs[i]); err == nil && i%50 == 49 {
				err = w.Flush()
			}
			if err != nil {
				break
			}
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorIs(t, w.Close(), syscall.ENOSPC)
		rep, err := Verify(dir)
		require.NoError(t, err)
		require.Empty(t, rep.Problems)
		require.Empty(t, rep.Cuts, "the torn write was taken away")
		require.Equal(t, w.Kept(), rep.Exchanges, "room for %d", room)
		require.Equal(t, byStart(xs[:rep.Exchanges]), nonNil(readAll(t, dir)))
		again, err := Create(dir, Config{}) // on a larger disk
		require.NoError(t, err)
		require.Equal(t, w.Durable(), again.Durable())
		require.NoError(t, again.Close())
	}
}

func nonNil(xs []traffic.Exchange) []traffic.Exchange {
	if xs == nil {
		return []traffic.Exchange{}
	}
	return xs
}

// After a failed fsync nothing more is called durable: the kernel may have thrown the pages away.
func TestFailedSync(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(21, 0)), 300)
	d := new(badDisk)
	d.room.Store(1 << 40)
	d.syncsLeft.Store(3) // the segment's start and two commits
	dir := filepath.Join(t.TempDir(), "tape")
	w, err := Create(dir, Config{OpenFile: d.open, SyncEvery: time.Hour, SyncBytes: 1 << 40})
	require.NoError(t, err)
	for i := range 200 {
		require.NoError(t, w.Append(&xs[i]))
		if i%100 == 99 {
			require.NoError(t, w.Sync())
		}
	}
	for i := range 100 {
		require.NoError(t, w.Append(&xs[200+i]))
	}
	require.ErrorIs(t, w.Sync(), syscall.EIO)
	require.ErrorIs(t, w.Sync(), syscall.EIO)
	require.EqualValues(t, 200, w.Durable())
	require.ErrorIs(t, w.Close(), syscall.EIO)
	f, err := Follow(dir, 0)
	require.NoError(t, err)
	require.Equal(t, xs[:200], followAll(t, f)[:200])
}

func TestCommitsByTimeAndBySize(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(22, 0)), 2000)
	f := func(cfg Config) {
		t.Helper()
		w, err := Create(filepath.Join(t.TempDir(), "tape"), cfg)
		require.NoError(t, err)
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
		}
		require.NoError(t, w.Flush())
		end := time.After(10 * time.Second)
		for w.Durable() < uint64(len(xs)) {
			select {
			case <-w.Changed():
			case <-end:
				t.Fatal("not durable in 10 s")
			}
		}
		require.NoError(t, w.Close())
	}
	f(Config{SyncEvery: time.Millisecond, SyncBytes: 1 << 40})
	f(Config{SyncEvery: time.Hour, SyncBytes: 1})
}

func TestNothingToOpenFileWith(t *testing.T) {
	boom := errors.New("boom")
	_, err := Create(filepath.Join(t.TempDir(), "tape"), Config{OpenFile: func(string) (File, error) { return nil, boom }})
	require.ErrorIs(t, err, boom)
}

// A badSector cannot be read at one offset.
type badSector struct {
	io.ReaderAt
	at int64
}

func (f badSector) ReadAt(b []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(b)) {
		n, _ := f.ReaderAt.ReadAt(b[:f.at-off], off)
		return n, syscall.EIO
	}
	return f.ReaderAt.ReadAt(b, off)
}

// Recovery cuts a segment where its walk finds damage. A disk that cannot be read may be readable tomorrow.
func TestBadSectorIsNoDamage(t *testing.T) {
	file, ends, _ := unclosed(t, None, usual(rand.New(rand.NewPCG(23, 0)), 120))
	f := func(at int64) {
		t.Helper()
		var s segment
		require.NotZero(t, s.head.parse(file[:headerLen]))
		require.ErrorIs(t, s.walk(badSector{bytes.NewReader(file), at}, int64(len(file)), ^uint64(0)), syscall.EIO)
		require.Len(t, s.entries, 2, "what is before can be read")
		require.Empty(t, s.cut.Cause)
	}
	f(ends[1])                 // the first byte of a block's header
	f(ends[1] + headerLen - 1) // its last
	f(ends[1] + headerLen)     // the payload
}

// A sync that finds no room leaves nobody knowing what is on the disk: the segment goes back to the sync before,
// what was lost is counted, its numbers are not given out again, and all goes on in a new segment.
func TestSyncFindsNoRoom(t *testing.T) {
	xs := usual(rand.New(rand.NewPCG(25, 0)), 400)
	d := &badDisk{syncFails: syscall.ENOSPC}
	d.room.Store(1 << 40)
	d.syncsLeft.Store(3) // the segment's start and two commits
	dir := filepath.Join(t.TempDir(), "tape")
	clk := new(testkit.Clock)
	w, err := Create(dir, Config{OpenFile: d.open, SyncEvery: time.Hour, SyncBytes: 1 << 40, Clock: clk})
	require.NoError(t, err)
	f := w.Follow(0)
	put := func(xs []traffic.Exchange) {
		t.Helper()
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
		}
	}
	for i := range 2 {
		put(xs[i*100 : i*100+100])
		require.NoError(t, w.Sync())
	}
	put(xs[200:300])
	require.ErrorIs(t, w.Sync(), syscall.ENOSPC)
	require.ErrorIs(t, w.Sync(), syscall.ENOSPC)
	require.EqualValues(t, 200, w.Durable())
	require.ErrorIs(t, w.Resume(), syscall.ENOSPC)
	clk.Step(lookAgain)
	require.ErrorIs(t, w.Resume(), syscall.ENOSPC, "there still is none")
	d.syncsLeft.Store(1 << 40)
	clk.Step(lookAgain)
	require.NoError(t, w.Resume())
	require.EqualValues(t, 300, w.Durable(), "it counts over what was lost")
	require.EqualValues(t, 200, w.Kept())
	put(xs[300:])
	require.NoError(t, w.Close())
	require.EqualValues(t, 300, w.Kept())
	want := slices.Concat(xs[:200], xs[300:])
	require.Equal(t, want, followRest(t, f))
	rep, err := Verify(dir)
	require.NoError(t, err)
	require.True(t, rep.OK(), "%s", rep)
	require.EqualValues(t, 300, rep.Exchanges)
	require.EqualValues(t, 100, rep.Lost)
	require.Equal(t, byStart(want), readAll(t, dir))
	require.Len(t, segments(t, dir), 2)
}
