package chart

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plain writes no-break spaces as spaces, so that the tables below can be read.
func plain(s string) string { return strings.ReplaceAll(s, nb, " ") }

func TestCount(t *testing.T) {
	f := func(n uint64, want string) { t.Helper(); require.Equal(t, want, Count(n)) }
	f(0, "0")
	f(999, "999")
	f(1000, "1,000")
	f(12345, "12,345")
	f(123456, "123,456")
	f(1234567, "1,234,567")
	f(math.MaxUint64, "18,446,744,073,709,551,615")
}

func TestLatency(t *testing.T) {
	f := func(d time.Duration, want string) { t.Helper(); require.Equal(t, want, plain(Latency(d))) }
	f(0, "0 ns")
	f(850, "850 ns")
	f(1000, "1.00 µs")
	f(12345, "12.3 µs")
	f(999_499, "999 µs")
	f(999_999, "1.00 ms") // never 1000 µs
	f(1_240_000, "1.24 ms")
	f(9_996_000, "10.0 ms") // never 10.00
	f(62*time.Millisecond, "62.0 ms")
	f(999_999_999, "1.00 s")
	f(1500*time.Millisecond, "1.50 s")
	f(1234*time.Second, "1234 s")
	f(-time.Millisecond, "−1.00 ms")
	require.NotPanics(t, func() { Latency(math.MinInt64); Latency(math.MaxInt64) })
}

func TestSpan(t *testing.T) {
	f := func(d time.Duration, want string) { t.Helper(); require.Equal(t, want, plain(Span(d))) }
	f(0, "0 s")
	f(1, "1 ms")
	f(3*time.Millisecond, "3 ms")
	f(1500*time.Millisecond, "1.5 s")
	f(25*time.Second+4*time.Millisecond, "25 s")
	f(time.Minute, "1 min")
	f(125*time.Second, "2 min 5 s")
	f(62*time.Minute, "1 h 2 min")
	f(49*time.Hour, "49 h")
	f(-time.Second, "−1 s")
	require.NotPanics(t, func() { Span(math.MinInt64); Span(math.MaxInt64) })
}

func TestShare(t *testing.T) {
	f := func(part, whole float64, want string) { t.Helper(); require.Equal(t, want, Share(part, whole)) }
	f(0, 0, "–")
	f(0, 5, "0%")
	f(1, 1, "100%")
	f(1, 1e9, "<0.01%")
	f(1e9-1, 1e9, ">99.99%") // not a 100% that is none
	f(3, 10000, "0.03%")
	f(1, 8, "12.5%")
	f(1, 10, "10%")
	f(198, 10000, "2.0%")
	f(9995, 10000, "99.95%")
	f(math.NaN(), 1, "–")
}

func TestTicksAreWritten(t *testing.T) {
	f := func(got, want string) { t.Helper(); require.Equal(t, want, plain(got)) }
	f(tickLatency(0), "0")
	f(tickLatency(500), "500 ns")
	f(tickLatency(2.5e3), "2.5 µs")
	f(tickLatency(20e6), "20 ms")
	f(tickLatency(1.5e9), "1.5 s")
	f(tickCount(0), "0")
	f(tickCount(0.5), "0.5")
	f(tickCount(2000), "2,000")
	f(tickCount(20000), "20k")
	f(tickCount(3e6), "3M")
	f(tickTime(0, 10, 60), "0 s")
	f(tickTime(125, 60, 600), "2:05")
	f(tickTime(3725, 600, 7200), "1:02:05")
}
