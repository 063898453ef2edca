package clickhouse

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Two frames are in flight and the second is stored first: neither the cursor nor the books go past the first,
// and a run after this one sends both again.
func TestFramesComeBackInAnyOrder(t *testing.T) {
	c, _, err := loadCursor(t.TempDir(), must(t, "clickhouse://h/db?recording=x"))
	require.NoError(t, err)
	defer c.close()
	frameOf := func(from, to uint64, rows int, first, last int64) *frame {
		fr := newFrame(1, nil)
		fr.instance, fr.from, fr.to, fr.nextRecord, fr.first, fr.last = "ab", from, to, to*10, first, last
		for range rows {
			fr.parts[0].append(1, 0, never, &traffic.Exchange{}, new(tape.Blobs))
		}
		require.NoError(t, c.freeze(fr))
		return fr
	}
	a, b := frameOf(0, 2, 5, 100, 200), frameOf(3, 3, 7, 50, 150)
	f := func(fr *frame, rows, next uint64, flight int) {
		t.Helper()
		got, err := c.acknowledge(fr)
		require.NoError(t, err)
		require.Equal(t, []uint64{rows, next}, []uint64{got, c.Next})
		require.Len(t, c.Flight, flight)
	}
	f(b, 0, 0, 2)
	f(a, 12, 4, 0)
	require.Equal(t, reached{c.Upload, 4, 30, 12, 50, 200}, c.reached())
}
