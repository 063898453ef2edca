package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

func TestLagIsTheAgeOfTheOldestNotStored(t *testing.T) {
	var l Lag
	start := time.Unix(1000, 0)
	f := func(second float64, given, stored uint64, want float64) {
		t.Helper()
		got := l.Look(start.Add(time.Duration(second*float64(time.Second))), Progress{Given: given, Stored: stored})
		require.InDelta(t, want, got.Seconds(), 1e-6)
	}
	f(0, 0, 0, 0)
	f(1, 10, 0, 1) // ten came since second 0
	f(2, 20, 0, 2)
	f(3, 20, 9, 3)  // the tenth came between 0 and 1
	f(4, 20, 10, 3) // the eleventh between 1 and 2
	f(5, 30, 20, 1) // after 4
	f(6, 30, 30, 0)
	f(1000, 31, 30, 994)
	f(1000.5, 31, 30, 994.5)
	f(1001, 31, 31, 0)

	for s := range 100_000 { // a store that is away: bounded memory, and right within a look
		l.Look(start.Add(time.Duration(2000+s)*time.Second), Progress{Given: uint64(100 + s), Stored: 50})
	}
	require.LessOrEqual(t, len(l.looks), maxLooks)
	f(102_000, 200_000, 50, 102_000-1001)
	require.InEpsilon(t, 40_101*time.Second, l.Look(start.Add(102_001*time.Second), Progress{Given: 200_000, Stored: 60_000}), 0.01)
}

func TestProgressIsThatOfTheTape(t *testing.T) {
	rec, err := New(Config{To: filepath.Join(t.TempDir(), "eve")})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	x := &traffic.Exchange{ID: 1, Start: 1, Dst: "web", Weight: 1}
	rec.Filter().Request(x)
	require.Equal(t, []Progress{{Sink: "tape"}}, rec.Progress())
	rec.Filter().Response(x)
	require.Equal(t, []Progress{{Sink: "tape", Given: 1}}, rec.Progress())
	go func() { done <- rec.Run(ctx) }()
	require.Eventually(t, func() bool { return rec.Progress()[0].Stored == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
