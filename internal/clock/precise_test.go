package clock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSleepsNeverEndEarly(t *testing.T) {
	unlock := LockThread()
	defer unlock()
	for _, c := range []Clock{System, Precise} {
		for _, d := range []time.Duration{-time.Second, 0, time.Nanosecond, 50 * time.Microsecond, time.Millisecond, 6 * time.Millisecond} {
			until := c.Now().Add(d)
			require.NoError(t, c.SleepUntil(t.Context(), until))
			require.False(t, c.Now().Before(until), "%T %v", c, d)
		}
	}
}

func TestPreciseSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	require.ErrorIs(t, Precise.SleepUntil(ctx, begin.Add(time.Hour)), context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 10*time.Second)

	done, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, Precise.SleepUntil(done, begin), context.Canceled, "also when the time is over")
}

func TestSystemSleepsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := System.Now()
		require.NoError(t, System.SleepUntil(t.Context(), begin.Add(time.Hour)))
		require.Equal(t, time.Hour, System.Now().Sub(begin))
	})
}

// How late a sleep of one millisecond ends: the numbers behind the choice of a locked thread.
func BenchmarkSleep(b *testing.B) {
	for name, c := range map[string]Clock{"system": System, "precise": Precise} {
		b.Run(name, func(b *testing.B) {
			unlock := LockThread()
			defer unlock()
			var late time.Duration
			for b.Loop() {
				until := c.Now().Add(time.Millisecond)
				_ = c.SleepUntil(b.Context(), until)
				late += c.Now().Sub(until)
			}
			b.ReportMetric(float64(late.Microseconds())/float64(b.N), "late-us/op")
		})
	}
}
