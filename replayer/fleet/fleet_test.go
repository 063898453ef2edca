package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFleetSendsWhatOneWould(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, made{n: 2000, sessions: 100, gap: time.Millisecond})
	rep, err := r.control(t.Context(), Config{})
	require.NoError(t, err)
	require.NoError(t, rep.Valid())
	require.False(t, rep.Interrupted)
	r.requireExact(rep)
	require.Zero(t, rep.Lost)
	require.EqualValues(t, 2000-unsendable(2000), rep.Ledger.Passed)
	require.Equal(t, rep.Total.Count, rep.Ledger.Passed)
	require.Len(t, rep.Workers, 3)
	for _, w := range rep.Workers {
		require.NotZero(t, w.Sent)
	}
	require.InDelta(t, 1000, rep.Asked, 20)
	require.InDelta(t, 1000, rep.Achieved, 50)
}

func TestWorkerHandsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, made{n: 2500, sessions: 100, gap: time.Millisecond})
	r.when(600, r.workers[1].stop)
	rep, err := r.control(t.Context(), Config{})
	require.NoError(t, err)
	require.NoError(t, rep.Valid())
	require.Empty(t, rep.Takeovers)
	r.requireExact(rep)
	require.Zero(t, rep.Lost)
	require.EqualValues(t, 2500-unsendable(2500), rep.Ledger.Passed)
}

// A worker that is cut off stops by itself, and others go on.
func TestWorkerIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, made{n: 3000, sessions: 100, gap: time.Millisecond})
	r.when(600, r.workers[1].bus.Close)
	rep, err := r.control(t.Context(), Config{LostLimit: 0.5})
	require.NoError(t, err)
	require.NoError(t, rep.Valid())
	require.Len(t, rep.Takeovers, 1)
	r.requireExact(rep)
	require.NotZero(t, rep.Lost)
	require.Positive(t, rep.Takeovers[0].Took)
	require.Less(t, rep.Takeovers[0].Took, 10*time.Second) // the figure is that of bench/fleet
	require.Equal(t, rep.Lost, rep.Takeovers[0].Lost)
	require.Equal(t, rep.Lost, rep.Ledger.Dropped["worker-lost"])
}

func TestTooMuchIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, made{n: 2500, sessions: 100, gap: time.Millisecond})
	r.when(600, r.workers[1].bus.Close)
	rep, err := r.control(t.Context(), Config{LostLimit: 1e-6})
	require.NoError(t, err)
	r.requireExact(rep)
	require.ErrorContains(t, rep.Valid(), "lost with workers")
}

func TestInterruptedEverywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, made{n: 60_000, sessions: 100, gap: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	r.when(600, cancel)
	rep, err := r.control(ctx, Config{})
	require.NoError(t, err)
	require.True(t, rep.Interrupted)
	require.NoError(t, rep.Ledger.Balance())
	require.Equal(t, r.target.came(t), int(rep.Sent))
	require.Less(t, rep.Elapsed, 30*time.Second)
}
