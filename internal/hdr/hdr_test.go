package hdr

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var durations = rapid.SliceOf(rapid.Custom(func(t *rapid.T) time.Duration {
	// Even over the digits, not over the values, so that short ones are drawn too.
	return time.Duration(math.Exp(rapid.Float64Range(0, math.Log(float64(Max))).Draw(t, "exponent")))
}))

func of(ds []time.Duration) *Hist {
	h := new(Hist)
	for _, d := range ds {
		h.Record(d)
	}
	return h
}

func requireSame(t require.TestingT, want, got *Hist) {
	require.Equal(t, want.Count(), got.Count())
	require.Equal(t, maps.Collect(want.Buckets()), maps.Collect(got.Buckets()))
}

func TestMergeIsRecordingAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations.Draw(t, "a"), durations.Draw(t, "b")
		merged := of(a)
		merged.Merge(of(b))
		requireSame(t, of(append(a, b...)), merged)
	})
}

func TestQuantilesAreRightToThreeDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ds := durations.Filter(func(ds []time.Duration) bool { return len(ds) > 0 }).Draw(t, "ds")
		h := of(ds)
		slices.Sort(ds)
		near := func(want, got time.Duration) {
			require.InDelta(t, float64(want), float64(got), float64(want)/1000+1)
		}
		near(ds[0], h.Min())
		near(ds[len(ds)-1], h.Max())
		near(ds[len(ds)-1], h.Quantile(1))
		near(ds[(len(ds)-1)/2], h.Quantile((float64((len(ds)-1)/2)+0.6)/float64(len(ds))))
	})
}

func TestTextKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := of(durations.Draw(t, "ds"))
		type file struct{ H Hist }
		data, err := json.Marshal(file{*h})
		require.NoError(t, err)
		var back file
		require.NoError(t, json.Unmarshal(data, &back))
		requireSame(t, h, &back.H)
		back.H.Record(time.Second) // still of our geometry
	})
}

// The text is the library's, to the byte.
func TestTextIsOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := of(durations.Draw(t, "ds"))
		h.Add(time.Duration(rapid.Int64Range(0, 5000).Draw(t, "low")), rapid.Uint64Range(1, 1<<60).Draw(t, "often"))
		text, err := h.MarshalText()
		require.NoError(t, err)
		want, err := h.p.Encode()
		require.NoError(t, err)
		require.Equal(t, string(want), string(text))
	})
}

func TestOutOfRangeCountsAtTheEdge(t *testing.T) {
	h := of([]time.Duration{-time.Second, math.MaxInt64})
	require.Equal(t, uint64(2), h.Count())
	require.Zero(t, h.Min())
	require.InDelta(t, float64(Max), float64(h.Max()), float64(Max)/1000)
}

func TestEmpty(t *testing.T) {
	var h Hist
	require.Zero(t, h.Count()+uint64(h.Quantile(0.5)+h.Min()+h.Max()+h.Mean()))
	require.Empty(t, maps.Collect(h.Buckets()))
	c := h.Clone()
	require.Zero(t, c.Count())
	require.Zero(t, of([]time.Duration{time.Second}).Quantile(math.NaN()))
}

func TestCloneIsIndependent(t *testing.T) {
	h := of([]time.Duration{1, 2})
	c := h.Clone()
	h.Record(3)
	require.Equal(t, uint64(2), c.Count())
}

// Sums of what came in bytes are the sums of the values, also once it is a lot.
func TestSumsOfBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []time.Duration
		var sum, later Hist
		for range rapid.IntRange(1, 6).Draw(t, "parts") {
			ds := durations.Draw(t, "ds")
			for i := range rapid.SampledFrom([]int{0, 400}).Draw(t, "more") {
				ds = append(ds, time.Duration(i*i*1000))
			}
			data, err := of(ds).AppendBinary(nil)
			require.NoError(t, err)
			var back Hist
			rest, err := back.DecodeBinary(data)
			require.NoError(t, err)
			require.Empty(t, rest)
			if rapid.Bool().Draw(t, "twice") { // the first stays as it is
				later.Merge(&back)
				all = append(all, ds...)
			}
			for range rapid.SampledFrom([]int{1, 1, 300}).Draw(t, "copies") {
				sum.Merge(&back)
				all = append(all, ds...)
				require.LessOrEqual(t, sum.size, lot, "what waits is bounded")
			}
			if rapid.Bool().Draw(t, "look") {
				sum.Quantile(0.5)
			}
			if rapid.Bool().Draw(t, "record") {
				sum.Record(time.Hour)
				all = append(all, time.Hour)
			}
		}
		sum.Merge(&later)
		requireSame(t, of(all), &sum)
	})
}

func BenchmarkBinary(b *testing.B) {
	var h, sum Hist
	x := uint64(1)
	for range 14_000 {
		x = x*6364136223846793005 + 1442695040888963407
		h.Record(100*time.Microsecond + time.Duration(x>>45)) // 0.1 to 0.6 ms: about 2,500 buckets
	}
	data, err := h.AppendBinary(nil)
	require.NoError(b, err)
	b.ReportMetric(float64(len(data)), "bytes")
	for b.Loop() {
		var back Hist
		if _, err := back.DecodeBinary(data); err != nil {
			b.Fatal(err)
		}
		sum.Merge(&back)
	}
}

func FuzzUnmarshalText(f *testing.F) {
	text, _ := of([]time.Duration{1, time.Millisecond, Max}).MarshalText()
	f.Add(text)
	f.Add([]byte("HISTFAAAAAR42pNpmSzMwMDAAAAB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var h Hist
		if h.UnmarshalText(text) != nil {
			return
		}
		again, err := h.MarshalText()
		require.NoError(t, err)
		var h2 Hist
		require.NoError(t, h2.UnmarshalText(again))
		requireSame(t, &h, &h2)
	})
}

func BenchmarkRecord(b *testing.B) {
	var h Hist
	x := uint64(1)
	for b.Loop() {
		x = x*6364136223846793005 + 1442695040888963407
		h.Record(100*time.Microsecond + time.Duration(x>>45)) // 0.1 to 0.6 ms: about 2,500 buckets
	}
}

// What a cell of a result takes to be written.
func BenchmarkText(b *testing.B) {
	h := of([]time.Duration{time.Millisecond, 2 * time.Millisecond, 30 * time.Millisecond})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.MarshalText(); err != nil {
			b.Fatal(err)
		}
	}
}
