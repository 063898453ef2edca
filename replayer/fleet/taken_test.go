package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
)

// A result is taken once, and what is repeated is not taken apart again.
func TestResultRepeated(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 2)
	r := someResult(someFound())
	r.Worker, r.Part, r.Number = "w1", 1, 1
	damaged := *r
	damaged.Found = r.Found[:5]
	require.Equal(t, "decode result: not the result of a replay", d.take(&damaged))
	require.Empty(t, d.take(r))
	require.Empty(t, d.take(r))
	require.Empty(t, d.take(&damaged))
	r.Number = 3
	require.Equal(t, "result 3 comes after 1", d.take(r))
	r.Worker = "w0"
	require.Equal(t, "the part is not this worker's", d.take(r))
	require.EqualValues(t, 3, d.sum.all().Ledger.Accepted)
}

// A controller that has much to do, and says that it lives, is waited for; one that is silent is not.
func TestResultsWait(t *testing.T) {
	t.Parallel()
	b := dial(t, startBus(t).URL())
	f := func(lives bool) (taken bool, sleeps int) {
		c := &sharedClock{now: time.Unix(1e9, 0)}
		s := &session{worker: &worker{WorkerConfig{Bus: b, ID: "w", Clock: c, Log: func(string) {}}}, run: fmt.Sprint(lives), ctx: t.Context()}
		p := newPart(s, &open{Part: 3}, offset{})
		defer p.cancel(nil)
		p.part = new(replayer.Part)
		s.heard()
		stop := func() {}
		c.slept = func() {
			if sleeps++; lives {
				s.heard()
			}
			if sleeps == 100 { // 25 seconds later
				var err error
				stop, err = b.Subscribe(subject(s.run, "result"), func(m *bus.Message) {
					var r result
					if decode(m.Data, &r) == nil && r.Part == 3 && r.Number == 7 {
						_ = m.Answer(encode(new(answer)))
					}
				})
				require.NoError(t, err)
			}
		}
		taken = p.deliver(&result{Number: 7}, someFound())
		stop()
		return taken, sleeps
	}
	taken, sleeps := f(true)
	require.True(t, taken)
	require.Equal(t, 100, sleeps)
	taken, sleeps = f(false)
	require.False(t, taken)
	require.Equal(t, int(stopTime/renewEvery)+1, sleeps)
}

// A controller that is late gets fewer results, but gets some.
func TestPauseBetweenResults(t *testing.T) {
	t.Parallel()
	f := func(took, want time.Duration) {
		t.Helper()
		require.Equal(t, want, pause(time.Second, took))
	}
	f(0, time.Second)
	f(200*time.Millisecond, time.Second)
	f(500*time.Millisecond, 2*time.Second)
	f(time.Minute, 5*time.Second)
}
