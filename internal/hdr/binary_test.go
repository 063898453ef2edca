package hdr

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBinaryKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := of(durations.Draw(t, "ds"))
		data, err := h.AppendBinary([]byte("before"))
		require.NoError(t, err)
		var back Hist
		rest, err := back.DecodeBinary(append(data[6:], "after"...))
		require.NoError(t, err)
		require.Equal(t, "after", string(rest))
		requireSame(t, h, &back)
	})
}

// The numbers of buckets are the library's buckets, from end to end.
func TestNumbersAreBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, d := range durations.Draw(t, "ds") {
			h := of([]time.Duration{d})
			for v := range h.Buckets() {
				require.Equal(t, int64(v), lowest(bucketOf(int64(d))))
				require.Equal(t, h.Quantile(1), Upper(v))
			}
		}
	})
	require.Less(t, bucketOf(int64(Max)), buckets)
}

func FuzzDecodeBinary(f *testing.F) {
	data, _ := of([]time.Duration{1, time.Millisecond, time.Millisecond, Max}).AppendBinary(nil)
	f.Add(data)
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Hist
		rest, err := h.DecodeBinary(data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(rest), len(data))
		again, err := h.AppendBinary(nil)
		require.NoError(t, err)
		var h2 Hist
		_, err = h2.DecodeBinary(again)
		require.NoError(t, err)
		requireSame(t, &h, &h2)
	})
}
