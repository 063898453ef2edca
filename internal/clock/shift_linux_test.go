package clock

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fixed is a clock that stands still.
type fixed struct {
	now   time.Time
	slept *time.Time
}

func (f fixed) Now() time.Time { return f.now }

func (f fixed) SleepUntil(_ context.Context, t time.Time) error {
	*f.slept = t
	return nil
}

func TestShiftedClock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "clock")
	require.ErrorContains(t, WriteShift(name, time.Hour, time.Minute), "no such file", "its reader makes it")
	var slept time.Time
	noon := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	c, err := OpenShifted(fixed{noon, &slept}, name)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, noon, c.Now(), "an empty file shifts nothing")

	for _, off := range []time.Duration{time.Hour, -time.Hour, 0} {
		require.NoError(t, WriteShift(name, off, time.Hour))
		require.Equal(t, noon.Add(off), c.Now())
		require.NoError(t, c.SleepUntil(context.Background(), c.Now().Add(time.Second)))
		require.Equal(t, noon.Add(time.Second), slept, "a sleep is as long as ever")
	}
	require.NoError(t, WriteShift(name, time.Hour, 0))
	require.Equal(t, noon, c.Now(), "what is over shifts nothing")

	require.NoError(t, WriteShift(name, time.Hour, time.Hour))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for i := range whole { // damaged, of another machine, or torn
		bad := append([]byte(nil), whole...)
		bad[i] ^= 1
		require.NoError(t, os.WriteFile(name, bad, 0o644))
		require.Equal(t, noon, c.Now(), "byte %d", i)
	}
	require.NoError(t, os.WriteFile(name, whole[:20], 0o644))
	require.Equal(t, noon, c.Now())
	require.NoError(t, os.WriteFile(name, whole, 0o644))
	require.Equal(t, noon.Add(time.Hour), c.Now())
}

func TestWriteShiftTouchesNothingElse(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "notes")
	text := []byte("a file of somebody else, longer than forty bytes")
	require.NoError(t, os.WriteFile(name, text, 0o644))
	require.ErrorContains(t, WriteShift(name, time.Hour, time.Hour), "not a file that holds one")
	require.NoError(t, os.Symlink(name, filepath.Join(dir, "link")))
	require.Error(t, WriteShift(filepath.Join(dir, "link"), time.Hour, time.Hour))
	kept, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, text, kept)
}
