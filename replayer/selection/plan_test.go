package selection

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

func spec(t testing.TB, text string) (s shape.Spec) {
	t.Helper()
	require.NoError(t, s.UnmarshalText([]byte(text)))
	return s
}

// A Poisson process over the recording's own times is of what is selected, all passes together.
func TestPlanTakesTheShapeOfWhatIsSelected(t *testing.T) {
	r := &recording{list: minutes(600, 3)}
	open := func(ctx context.Context, name string) (traffic.Source, error) {
		require.Equal(t, "eve", name)
		return r.open(ctx)
	}
	s := Selection{Window: window(t, "+0s..+5m"), Repeat: 2, Seed: 4}
	src, sh, err := s.Plan(t.Context(), spec(t, "poisson 10x"), "eve", open)
	require.NoError(t, err)
	require.NoError(t, src.Close())
	require.Equal(t, r.opened, r.shut)
	pace, n, last := sh.Pace(), 0, time.Duration(0)
	for due, ok := pace.Next(0); ok; due, ok = pace.Next(0) {
		n, last = n+1, due
	}
	require.InDelta(t, 600, n, 4*25)
	require.InDelta(t, 60, last.Seconds(), 2)

	s.Repeat = Forever
	_, _, err = s.Plan(t.Context(), spec(t, "poisson 10x"), "eve", open)
	require.EqualError(t, err, `shape "poisson 10x": poisson over the recording's own times needs an end: repeat it a number of times, not forever`)

	src, sh, err = s.Plan(t.Context(), spec(t, "2000/s"), "eve", open)
	require.NoError(t, err)
	require.IsType(t, &Source{}, src)
	require.Equal(t, "2000/s", sh.String())
	require.NoError(t, src.Close())

	src, _, err = new(Selection).Plan(t.Context(), shape.Spec{}, "eve", open)
	require.NoError(t, err)
	require.IsType(t, &listSource{}, src, "nothing stands between, where nothing is selected")
	require.NoError(t, src.Close())

	for _, s := range []Selection{{}, {Repeat: 2}} {
		src, _, err = s.Plan(t.Context(), shape.Spec{}, "eve", func(context.Context, string) (traffic.Source, error) { return nil, errors.New("gone") })
		require.EqualError(t, err, "gone")
		require.Nil(t, src)
	}
}
